"""What the worker counts, for Prometheus. Packages add metrics of their own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60)
"""Seconds."""


class Metrics:
    """The metrics of one worker."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.jobs = Counter(
            "guildhall_jobs", "Jobs run, by task and outcome", ["task", "outcome"], registry=self.registry
        )
        self.seconds = Histogram(
            "guildhall_job_seconds", "Duration of jobs", ["task"], buckets=BUCKETS, registry=self.registry
        )
        self.queue = Gauge(
            "guildhall_queue_jobs", "Jobs in the queue, by task and status", ["task", "status"], registry=self.registry
        )

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)
