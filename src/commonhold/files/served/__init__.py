"""The door `/dav/`: WebDAV over the shares of this computer."""
