"""The worker: does what SQL deferred by private.defer_job. `python -m edge.jobs` runs it."""
