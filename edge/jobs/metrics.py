"""What the worker counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60)


class Metrics:
    """The counters of one worker."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.jobs = Counter(
            "guildhall_jobs", "Jobs run, by task and by how they ended", ["task", "outcome"], registry=self._registry
        )
        self.seconds = Histogram(
            "guildhall_job_seconds", "How long jobs took", ["task"], buckets=BUCKETS, registry=self._registry
        )
        self.mails = Counter(
            "guildhall_mails", "Attempts to send a mail, by what they came to", ["outcome"], registry=self._registry
        )
        self.queue = Gauge(
            "guildhall_queue_jobs", "Jobs in the queue, by task and status", ["task", "status"], registry=self._registry
        )

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self._registry)
