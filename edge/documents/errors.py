"""Errors of documents."""

from edge.errors import ErrorDefinition

ERRORS = (
    ErrorDefinition(
        "certificate_not_found",
        404,
        "There is no such certificate, or it is not yours to see.",
        "Check the id.",
    ),
    ErrorDefinition(
        "certificate_not_issued",
        409,
        "Only an issued certificate is printed: this one is pending, rejected or revoked.",
        "Read its status in certificates.",
        detail="This certificate is %s, not issued.",
    ),
    ErrorDefinition(
        "order_without_licence", 409, "The order is not of a beat licence: it has no contract.", "Print its invoice."
    ),
    ErrorDefinition("document_timeout", 503, "The document could not be printed in time.", "Try again."),
)
