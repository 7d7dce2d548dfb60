"""Disk: shares, served and used over WebDAV."""
