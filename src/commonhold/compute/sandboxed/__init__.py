"""What runs in a sandbox, with Dask: a session's scheduler, or one worker and its tasks."""
