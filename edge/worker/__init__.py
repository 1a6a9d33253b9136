"""The worker: runs the jobs that SQL deferred by private.defer_job. `python -m edge.worker` starts it."""
