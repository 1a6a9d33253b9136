"""What a certificate says."""

from datetime import datetime
from urllib.parse import quote

from edge.documents.client import Document, Printer
from edge.documents.types import Certificate
from edge.documents.words import day_of
from edge.text import printable


def compose_certificate(printer: Printer, certificate: Certificate, issued_at: datetime) -> Document:
    """Put together what the certificate says. The same certificate gives the same document."""
    link = f"{printer.public_url}/verify/{quote(certificate.code, safe='')}"
    score = certificate.score_percent
    words = {
        "holder": printable(certificate.holder_name),
        "course": printable(certificate.course_title),
        "creator": printable(certificate.creator_name or ""),
        "score": "" if score is None else f"{score:.10g}",
        "date": day_of(issued_at),
        "code": printable(certificate.code),
        "link": link,
        "address": link.partition("://")[2],
    }
    return printer.compose("certificate", words, issued_at, link)
