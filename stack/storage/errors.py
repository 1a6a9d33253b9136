"""What a refused call is answered, in the words that Supabase's clients know."""

import re

import psycopg

BUCKET_OF_OBJECT = "objects_bucketId_fkey"
RAISED_STATUS = re.compile(r"PT(\d{3})")


class StorageError(Exception):
    """A refusal. It is answered with HTTP 400 and the real status inside, as Supabase does; failures of ours keep 5xx.

    Attributes:
        status: the real HTTP status.
        code: the stable token of what is wrong.
        error: the older token that clients still read; most often the same.
        headers: sent with the answer.
        http_status: what the answer itself carries.
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
        """The answer's JSON."""
        return {"statusCode": str(self.status), "error": self.error, "code": self.code, "message": self.message}


def no_such_bucket() -> StorageError:
    """The bucket does not exist, or is none of the caller's business."""
    return StorageError(404, "NoSuchBucket", "Bucket not found", error="Bucket not found")


def no_such_key() -> StorageError:
    """The object does not exist, or no policy lets the caller see it: the two look the same."""
    return StorageError(404, "NoSuchKey", "Object not found", error="not_found")


def access_denied(message: str) -> StorageError:
    """The caller's token or the policies say no."""
    return StorageError(403, "AccessDenied", message, error="Unauthorized")


def invalid_token(message: str) -> StorageError:
    """The token of a signed URL is not one, or is not for this."""
    return StorageError(400, "InvalidJWT", message)


def invalid_signature() -> StorageError:
    """The token of a signed URL is good, for something else."""
    return StorageError(400, "InvalidSignature", "The token is not for this path")


def invalid_key(key: str) -> StorageError:
    """The name cannot be an object's."""
    return StorageError(400, "InvalidKey", f"Invalid key: {key}")


def invalid_bucket_name() -> StorageError:
    """The name cannot be a bucket's."""
    return StorageError(400, "InvalidBucketName", "Bucket name invalid", error="Invalid Input")


def invalid_parameter(message: str) -> StorageError:
    """A value of the request is not what it must be."""
    return StorageError(400, "InvalidParameter", message)


def invalid_request(message: str) -> StorageError:
    """The request makes no sense as a whole."""
    return StorageError(400, "InvalidRequest", message)


def invalid_mime_type(mime_type: str) -> StorageError:
    """The bucket does not take this type, or the bytes are not of the type that was declared."""
    return StorageError(415, "InvalidMimeType", f"mime type {mime_type} is not supported", error="invalid_mime_type")


def too_large(what: str = "object") -> StorageError:
    """More bytes than the bucket or the server allows."""
    message = f"The {what} exceeded the maximum allowed size"
    return StorageError(413, "EntityTooLarge", message, error="Payload too large")


def duplicate() -> StorageError:
    """There is one already."""
    return StorageError(409, "ResourceAlreadyExists", "The resource already exists", error="Duplicate")


def bucket_not_empty() -> StorageError:
    """A bucket goes only when its objects have gone."""
    return StorageError(409, "ResourceNotEmpty", "The bucket you tried to delete is not empty")


def feature_not_enabled(feature: str) -> StorageError:
    """A part of Supabase Storage that this server leaves out."""
    return StorageError(409, "FeatureNotEnabled", f"The feature {feature} is not enabled for this resource")


def database_unavailable() -> StorageError:
    """The database does not answer; try again."""
    return StorageError(503, "DatabaseUnavailable", "The database is not available", headers={"retry-after": "1"})


def from_database(error: psycopg.Error) -> StorageError:  # noqa: PLR0911 (one answer for each kind of SQLSTATE)
    """The refusal that a database error stands for."""
    state, primary, detail = error.sqlstate or "", error.diag.message_primary or "", error.diag.message_detail or ""
    raised = RAISED_STATUS.fullmatch(state)
    if raised is not None and 400 <= int(raised[1]) <= 599:
        # The project's SQL raises its errors so: message is the token, detail the sentence.
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
    """A fault of ours; the log says more."""
    return StorageError(500, "InternalError", "Internal server error")
