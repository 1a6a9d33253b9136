"""The errors of the storage server, in the form that Supabase's clients know."""

import re

import jwt
import psycopg

from stack.access_tokens import UnknownKeyError

BUCKET_OF_OBJECT = "objects_bucketId_fkey"
RAISED_STATUS = re.compile(r"PT(\d{3})")


class StorageError(Exception):
    """A refusal. Its answer has HTTP 400 and the real status in its body, as at Supabase; our own failures keep 5xx.

    Attributes:
        status: the real HTTP status.
        code: the stable token.
        error: the older token that clients still read; mostly the same.
        headers: sent with the answer.
        http_status: the status of the answer itself.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        error: str | None = None,
        headers: dict[str, str] | None = None,
        http_status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.error = error or code
        self.message = message
        self.headers = headers or {}
        self.http_status = http_status or (status if status >= 500 else 400)

    def body(self) -> dict[str, str]:
        """The JSON of the answer."""
        return {"statusCode": str(self.status), "error": self.error, "code": self.code, "message": self.message}


def no_such_bucket() -> StorageError:
    """The bucket does not exist, or is hidden from the caller."""
    return StorageError(404, "NoSuchBucket", "Bucket not found", error="Bucket not found")


def no_such_key() -> StorageError:
    """The object does not exist, or is hidden from the caller: the two look the same."""
    return StorageError(404, "NoSuchKey", "Object not found", error="not_found")


def access_denied(message: str) -> StorageError:
    """The caller's token or the policies do not allow it."""
    return StorageError(403, "AccessDenied", message, error="Unauthorized")


def token_flaw(error: Exception) -> str:  # noqa: PLR0911 (a table)
    """What is wrong with a token, in the words of Supabase's server, which clients compare."""
    match error:
        case jwt.ExpiredSignatureError() | jwt.ImmatureSignatureError():
            return f'"{"exp" if isinstance(error, jwt.ExpiredSignatureError) else "nbf"}" claim timestamp check failed'
        case jwt.InvalidSignatureError():
            return "signature verification failed"
        case UnknownKeyError():
            return "no applicable key found in the JSON Web Key Set"
        case jwt.InvalidAudienceError():
            return 'unexpected "aud" claim value'
        case jwt.MissingRequiredClaimError():
            return f'missing required "{error.claim}" claim'
        case jwt.DecodeError():
            return "Invalid Compact JWS"
        case _:
            return f"The token is not valid: {error}"


def invalid_token(message: str) -> StorageError:
    """The token of a signed URL is invalid, or has another purpose."""
    return StorageError(400, "InvalidJWT", message)


def invalid_signature() -> StorageError:
    """The token of a signed URL is valid for another path."""
    return StorageError(400, "InvalidSignature", "The token is not for this path")


def invalid_key(key: str) -> StorageError:
    """An object cannot have this name."""
    return StorageError(400, "InvalidKey", f"Invalid key: {key}")


def invalid_bucket_name() -> StorageError:
    """A bucket cannot have this name."""
    return StorageError(400, "InvalidBucketName", "Bucket name invalid", error="Invalid Input")


def invalid_parameter(message: str) -> StorageError:
    """A value of the request is invalid."""
    return StorageError(400, "InvalidParameter", message)


def invalid_request(message: str) -> StorageError:
    """The request as a whole is invalid."""
    return StorageError(400, "InvalidRequest", message)


def invalid_mime_type(mime_type: str) -> StorageError:
    """The bucket does not accept this type."""
    return StorageError(415, "InvalidMimeType", f"mime type {mime_type} is not supported", error="invalid_mime_type")


def false_mime_type(mime_type: str) -> StorageError:
    """The bytes do not match the declared type. Hosted Supabase believes every declaration."""
    message = (
        f"The content of the file is not {mime_type}: this bucket accepts only some types, so the content must have "
        "the declared type"
    )
    return StorageError(415, "InvalidMimeType", message, error="invalid_mime_type")


def too_large(subject: str = "object") -> StorageError:
    """More bytes than the bucket or the server allows."""
    message = f"The {subject} exceeded the maximum allowed size"
    return StorageError(413, "EntityTooLarge", message, error="Payload too large")


def duplicate() -> StorageError:
    """It exists already."""
    return StorageError(409, "ResourceAlreadyExists", "The resource already exists", error="Duplicate")


def bucket_not_empty() -> StorageError:
    """A bucket can be deleted only when it is empty."""
    return StorageError(409, "ResourceNotEmpty", "The bucket you tried to delete is not empty")


def feature_not_enabled(feature: str) -> StorageError:
    """A part of Supabase Storage that this server leaves out."""
    return StorageError(409, "FeatureNotEnabled", f"The feature {feature} is not enabled for this resource")


def database_unavailable() -> StorageError:
    """The database does not answer."""
    return StorageError(503, "DatabaseUnavailable", "The database is not available", headers={"retry-after": "1"})


def from_database(error: psycopg.Error) -> StorageError:  # noqa: PLR0911 (one answer for each kind of SQLSTATE)
    """The refusal for a database error."""
    state, primary, detail = error.sqlstate or "", error.diag.message_primary or "", error.diag.message_detail or ""
    raised = RAISED_STATUS.fullmatch(state)
    if raised is not None and 400 <= int(raised[1]) <= 599:
        # The project's SQL raises its errors so: the message is the token, the detail the sentence.
        return StorageError(int(raised[1]), primary, detail or primary)
    match state:
        case "42501":
            hidden = "row-level security" in primary
            return access_denied("new row violates row-level security policy" if hidden else primary)
        case "23505":
            return duplicate()
        case "23503":
            if error.diag.constraint_name != BUCKET_OF_OBJECT:
                return StorageError(409, "ResourceReferenced", "The object is referenced elsewhere")
            return bucket_not_empty() if "still referenced" in detail else no_such_bucket()
        case "57014" | "55P03" | "40P01" | "40001":
            return StorageError(503, "DatabaseTimeout", "The database took too long", headers={"retry-after": "1"})
        case "P0001":
            return invalid_request(primary)
    if state[:2] in ("22", "23", "54") or isinstance(error, psycopg.DataError):
        return invalid_parameter("A value cannot be stored")
    if not state or state[:2] in ("08", "53", "57") or isinstance(error, psycopg.OperationalError):
        return database_unavailable()
    return internal()


def internal() -> StorageError:
    """A failure of the server; the log has the details."""
    return StorageError(500, "InternalError", "Internal server error")
