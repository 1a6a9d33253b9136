"""Errors of media."""

from edge.errors import ErrorDefinition

ERRORS = (
    ErrorDefinition(
        "media_content_refused",
        415,
        "The content of the file is not of the declared type, or of several types at once.",
        "Send the file as what it is, in a type that is accepted.",
    ),
    ErrorDefinition(
        "media_damaged",
        422,
        "The file cannot be decoded: it is damaged or cut off.",
        "Export it again and upload that.",
    ),
    ErrorDefinition(
        "media_too_many_pixels",
        422,
        "The picture has too many pixels.",
        "Upload a picture of at most 40 megapixels, 16,384 on each side.",
    ),
    ErrorDefinition(
        "captions_invalid",
        422,
        "The captions are not valid WebVTT in UTF-8.",
        "The file begins with WEBVTT; each cue has a line such as 00:01.000 --> 00:02.500.",
    ),
    ErrorDefinition("files_missing_in_form", 400, "The form has no file.", "Send multipart/form-data with a file."),
    ErrorDefinition("too_many_files", 413, "A form takes at most 14 files.", "Send the others in another request."),
    ErrorDefinition(
        "file_too_large", 413, "A file of a form has at most 10 MB.", "Reserve it, and upload it to Storage."
    ),
    ErrorDefinition(
        "range_not_satisfiable", 416, "The file has no bytes in this range.", "See Content-Range for its size."
    ),
    ErrorDefinition("precondition_failed", 412, "The file is not the one that the condition names.", "Read it again."),
)
