"""Certificates."""

from datetime import datetime
from urllib.parse import quote

from common.text import printable
from edge.documents.client import Document, Printer
from edge.documents.formatting import day_of
from edge.documents.types import Certificate


def compose_certificate(printer: Printer, certificate: Certificate, issued_at: datetime) -> Document:
    """Compose a certificate that was issued then. The same certificate gives the same document."""
    link = f"{printer.public_url}/verify/{quote(certificate.code, safe='')}"
    score = certificate.score_percent
    content = {
        "holder": printable(certificate.holder_name),
        "course": printable(certificate.course_title),
        "creator": printable(certificate.creator_name or ""),
        "score": "" if score is None else f"{score:.10g}",
        "date": day_of(issued_at),
        "code": printable(certificate.code),
        "link": link,
        "address": link.partition("://")[2],
    }
    return printer.compose("certificate", content, issued_at, link)
