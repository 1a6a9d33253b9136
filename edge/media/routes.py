"""Routes of media."""

import hashlib
import secrets
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import State, UploadFile
from litestar.di import NamedDependency
from litestar.openapi.spec import Tag
from litestar.params import JSONBody, PathParameter
from litestar.response import Stream
from postgrest import AsyncPostgrestClient

from edge.auth import Caller
from edge.database import Database
from edge.errors import EdgeError, error
from edge.http.openapi import error_responses
from edge.http.package import HttpPackage
from edge.http.requests import IS_HEAD
from edge.http.tiers import GENEROUS, STANDARD
from edge.media import uploads
from edge.media.serving import serve
from edge.media.types import (
    Completion,
    InLesson,
    NewMedia,
    NewUpload,
    Picture,
    Reservation,
    Served,
    SignedMedia,
    SignRequest,
    Uploaded,
    UploadedFiles,
)
from edge.settings import EdgeSettings
from edge.storage import Storage

MAX_FILES = 14
MAX_FILE = 10 << 20
"""Bytes of a file of a form; larger ones go to Storage themselves."""
MAX_FORM = MAX_FILES * MAX_FILE + (1 << 20)
MAX_ONE = MAX_FILE + (1 << 20)
SHORTEST, LONGEST = 60, 900
"""Seconds that a link may live."""
PRIVATE = "private, no-store"
PUBLIC = "public, max-age=300"
UPLOADING = (
    "captions_invalid", "file_too_large", "files_missing_in_form", "media_content_refused", "media_damaged",
    "media_too_many_pixels", "storage_quota_exceeded", "storage_unavailable", "upload_not_allowed",
)  # fmt: skip
CHECKING = (
    "captions_invalid", "media_content_refused", "media_damaged", "media_deleted", "media_not_found",
    "media_not_reserved", "media_not_uploaded", "media_size_refused", "media_too_many_pixels",
    "storage_quota_exceeded", "storage_unavailable", "upload_not_allowed",
)  # fmt: skip
CHECKING_CALLS = ("begin_media_check", "finish_media_check")
OF_PUBLIC = ("database_unavailable", "rate_limited", "tier_missing")
"""What the rate limit and the database add where nobody signs in."""
SERVING = ("media_deleted", "media_not_found", "precondition_failed", "range_not_satisfiable", "storage_unavailable")
MediaId = Annotated[UUID, PathParameter(description="`id` of a row of `media_objects`")]
LessonId = Annotated[UUID, PathParameter(description="`id` of a row of `lessons`")]
Rest = NamedDependency[AsyncPostgrestClient]
AnyRequest = Request[Any, Any, State]


@post(
    "/media",
    summary="Reserve an upload",
    tags=["media"],
    opt=STANDARD,
    responses=error_responses(calls=("reserve_media",), tokens=("storage_unavailable",)),
)
async def reserve(
    data: JSONBody[NewUpload], caller: NamedDependency[Caller], rest: Rest, storage: NamedDependency[Storage]
) -> Reservation:
    """The database reserves the path, and Storage signs the link to it, both for the caller's own token."""
    reserved = await rest.rpc("reserve_media", msgspec.to_builtins(data)).execute()
    return await _reservation(caller, storage, reserved.data)


@post(
    "/media/{media_id:uuid}/complete",
    summary="Complete an upload: the file is read and checked",
    tags=["media"],
    opt=STANDARD,
    status_code=200,
    responses=error_responses(calls=CHECKING_CALLS, tokens=CHECKING),
)
async def complete(
    media_id: MediaId,
    caller: NamedDependency[Caller],
    rest: Rest,
    storage: NamedDependency[Storage],
    database: NamedDependency[Database],
) -> dict[str, Any]:
    """The row of `media_objects`, ready."""
    await uploads.complete(caller, str(media_id), database, storage)
    return await uploads.row(rest, str(media_id))


@post(
    "/lessons/{lesson_id:uuid}/media/presign",
    summary="Reserve an upload for a lesson",
    tags=["media"],
    opt=STANDARD,
    responses=error_responses(calls=("reserve_lesson_media",), tokens=("storage_unavailable",)),
)
async def reserve_for_lesson(
    lesson_id: LessonId,
    data: JSONBody[NewMedia],
    caller: NamedDependency[Caller],
    rest: Rest,
    storage: NamedDependency[Storage],
) -> Reservation:
    """As `POST /media`, for a lesson of the caller's course."""
    wanted = {"lesson_id": str(lesson_id), **msgspec.to_builtins(data)}
    reserved = await rest.rpc("reserve_lesson_media", wanted).execute()
    return await _reservation(caller, storage, reserved.data)


@post(
    "/lessons/{lesson_id:uuid}/media/complete",
    summary="Complete an upload, and put the file last in the lesson",
    tags=["media"],
    opt=STANDARD,
    responses=error_responses(calls=("add_lesson_media", *CHECKING_CALLS), tokens=CHECKING),
)
async def complete_for_lesson(
    *,
    lesson_id: LessonId,
    data: JSONBody[Completion],
    caller: NamedDependency[Caller],
    rest: Rest,
    storage: NamedDependency[Storage],
    database: NamedDependency[Database],
) -> InLesson:
    """A repeated call answers the same."""
    media_id = str(data.media_id)
    if (await uploads.row(rest, media_id))["status"] != "ready":
        await uploads.complete(caller, media_id, database, storage)
    return await _add(rest, lesson_id, media_id, title=data.title, is_preview=data.is_preview)


@post(
    "/lessons/{lesson_id:uuid}/media",
    summary="Upload a small file, and put it last in a lesson",
    description="multipart/form-data: `file`, and where wanted `title` and `is_preview`.",
    tags=["media"],
    opt=STANDARD,
    request_max_body_size=MAX_ONE,
    responses=error_responses(
        calls=("reserve_lesson_media", "add_lesson_media", "delete_media", *CHECKING_CALLS),
        tokens=("too_many_files", *UPLOADING),
    ),
)
async def upload_to_lesson(
    *,
    lesson_id: LessonId,
    request: AnyRequest,
    caller: NamedDependency[Caller],
    rest: Rest,
    storage: NamedDependency[Storage],
    database: NamedDependency[Database],
) -> InLesson:
    """Nothing is stored of a file that is refused."""
    form, (file, *_) = await _form(request)
    return await _store_in_lesson(lesson_id, file, form, caller=caller, rest=rest, storage=storage, database=database)


@post(
    "/uploads",
    summary="Upload up to 14 small files",
    description="multipart/form-data: 1 to 14 `files` of at most 10 MB each. Each succeeds or fails by itself.",
    tags=["media"],
    opt=STANDARD,
    status_code=200,
    request_max_body_size=MAX_FORM,
    responses=error_responses(
        calls=("reserve_media", "delete_media", *CHECKING_CALLS),
        tokens=("media_deleted", "media_not_found", "too_many_files", *UPLOADING),
    ),
)
async def upload(
    *,
    request: AnyRequest,
    caller: NamedDependency[Caller],
    rest: Rest,
    storage: NamedDependency[Storage],
    database: NamedDependency[Database],
) -> UploadedFiles:
    """The files, in their order."""
    _, files = await _form(request, most=MAX_FILES)
    answers = []
    for file in files:
        try:
            media = await uploads.store(
                caller,
                rest,
                database,
                storage,
                **await _content(file),
                reserve=lambda wanted: rest.rpc("reserve_media", wanted).execute(),
            )
        except EdgeError as refusal:
            if refusal.status >= 500 or refusal.status == 401:
                raise
            body = {"status": refusal.status, **msgspec.to_builtins(refusal.body)}
            answers.append(Uploaded(name=file.filename, error=body))
        else:
            answers.append(Uploaded(name=file.filename, media=media))
    return UploadedFiles(files=answers)


@post(
    "/uploads/avatar",
    summary="Upload the picture of one's profile",
    description="multipart/form-data: `file`.",
    tags=["media"],
    opt=STANDARD,
    request_max_body_size=MAX_ONE,
    responses=error_responses(tokens=("too_many_files", *UPLOADING)),
)
async def upload_avatar(
    request: AnyRequest, caller: NamedDependency[Caller], rest: Rest, storage: NamedDependency[Storage]
) -> Picture:
    """The former picture is removed from storage."""
    _, (file, *_) = await _form(request)
    folder = str(caller.user_id)
    picture = await _store_picture(request, caller, storage, bucket="avatars", folder=folder, file=file)
    changed: Any = (await rest.from_("profiles").update({"avatar_path": picture.path}).eq("id", folder).execute()).data
    if not changed:
        raise error("upload_not_allowed")
    return picture


@post(
    "/courses/{course_id:uuid}/thumbnail",
    summary="Upload the picture of a course",
    description="multipart/form-data: `file`.",
    tags=["media"],
    opt=STANDARD,
    request_max_body_size=MAX_ONE,
    responses=error_responses(tokens=("too_many_files", *UPLOADING)),
)
async def upload_thumbnail(
    *,
    course_id: Annotated[UUID, PathParameter(description="The course")],
    request: AnyRequest,
    caller: NamedDependency[Caller],
    rest: Rest,
    storage: NamedDependency[Storage],
) -> Picture:
    """The former picture is removed from storage."""
    _, (file, *_) = await _form(request)
    picture = await _store_picture(
        request, caller, storage, bucket="course-thumbnails", folder=str(course_id), file=file
    )
    changed: Any = (
        await rest.from_("courses").update({"thumbnail_path": picture.path}).eq("id", str(course_id)).execute()
    ).data
    if not changed:
        raise error("upload_not_allowed")
    return picture


@post(
    "/media/sign",
    summary="Sign a link that plays a file",
    tags=["media"],
    opt=GENEROUS,
    status_code=200,
    responses=error_responses(
        tokens=("invalid_request", "media_deleted", "media_not_found", "media_not_ready", "storage_unavailable")
    ),
)
async def sign(
    *,
    data: JSONBody[SignRequest],
    request: AnyRequest,
    caller: NamedDependency[Caller],
    rest: Rest,
    storage: NamedDependency[Storage],
    database: NamedDependency[Database],
) -> Response[SignedMedia]:
    """A link for players, which send no token: for this file, this person and this purpose."""
    if not SHORTEST <= data.expires_in <= LONGEST:
        raise error("invalid_request", f"expires_in is {SHORTEST} to {LONGEST} seconds.")
    media = await uploads.row(rest, str(data.media_id))
    if media["status"] != "ready":
        raise error("media_not_ready")
    links = await storage.sign(caller, media["bucket_id"], [media["path"]], data.expires_in + SHORTEST)
    if media["path"] not in links:
        raise error("media_not_found")
    token = secrets.token_urlsafe(32)
    expires_at: datetime = await database.call(
        "make_media_link",
        p_user_id=caller.user_id,
        p_media_id=data.media_id,
        p_purpose=data.purpose,
        p_token_hash=_digest(token),
        p_storage_url=links[media["path"]],
        p_seconds=data.expires_in,
    )
    url = f"{_functions_url(request)}/media/stream/{token}"
    answer = SignedMedia(media_id=data.media_id, token=token, url=url, expires_at=expires_at)
    return Response(answer, headers={"cache-control": PRIVATE})


@get(
    "/media/stream/{token:str}",
    summary="Play a file by a signed link",
    tags=["media"],
    opt=GENEROUS,
    responses=error_responses(calls=("open_media_link",), tokens=(*OF_PUBLIC, *SERVING)),
)
async def stream(
    token: Annotated[str, PathParameter(description="`token` of `POST /media/sign`")],
    request: AnyRequest,
    storage: NamedDependency[Storage],
    database: NamedDependency[Database],
) -> Response[bytes] | Stream:
    """Whether the person of the link may play is asked at each use."""
    served = msgspec.convert(await database.call("open_media_link", p_token_hash=_digest(token)), Served)
    return await serve(
        request.headers,
        served,
        lambda part: storage.open_link(served.storage_url, part=part),
        is_head=_is_head(request),
        caching=PRIVATE,
    )


@get(
    "/media/{media_id:uuid}",
    summary="Read a file with one's own token",
    tags=["media"],
    opt=GENEROUS,
    responses=error_responses(tokens=("media_not_ready", *SERVING)),
)
async def read(
    media_id: MediaId,
    request: AnyRequest,
    caller: NamedDependency[Caller],
    rest: Rest,
    storage: NamedDependency[Storage],
) -> Response[bytes] | Stream:
    """For those who may play it."""
    media = await uploads.row(rest, str(media_id))
    if media["status"] != "ready":
        raise error("media_not_ready")
    served = msgspec.convert(media | {"purpose": "play"}, Served)
    return await serve(
        request.headers,
        served,
        lambda part: storage.open(caller, served.bucket_id, served.path, part=part),
        is_head=_is_head(request),
        caching=PRIVATE,
    )


@get(
    "/audio/{name:str}",
    summary="A public sample by its name",
    tags=["media"],
    opt=GENEROUS,
    responses=error_responses(calls=("find_public_media",), tokens=(*OF_PUBLIC, *SERVING)),
)
async def read_sample(
    name: Annotated[str, PathParameter(description="`name` of a file whose purpose is `sample`")],
    request: AnyRequest,
    storage: NamedDependency[Storage],
    database: NamedDependency[Database],
) -> Response[bytes] | Stream:
    """For everybody."""
    found = await database.call("find_public_media", p_path=None, p_name=name)
    return await _serve_public(msgspec.convert(found, Served), request, storage)


@get(
    "/files/{path:path}",
    summary="A public file by its path",
    tags=["media"],
    opt=GENEROUS,
    responses=error_responses(calls=("find_public_media",), tokens=(*OF_PUBLIC, *SERVING)),
)
async def read_public(
    path: Annotated[str, PathParameter(description="`path` of a file whose purpose is `public` or `sample`")],
    request: AnyRequest,
    storage: NamedDependency[Storage],
    database: NamedDependency[Database],
) -> Response[bytes] | Stream:
    """For everybody. The path is looked up, never opened: another one is not found."""
    found = await database.call("find_public_media", p_path=path.removeprefix("/"))
    return await _serve_public(msgspec.convert(found, Served), request, storage)


async def _serve_public(served: Served, request: AnyRequest, storage: Storage) -> Response[bytes] | Stream:
    return await serve(
        request.headers,
        served,
        lambda part: storage.open(None, served.bucket_id, served.path, part=part),
        is_head=_is_head(request),
        caching=PUBLIC,
    )


async def _reservation(caller: Caller, storage: Storage, media: Any) -> Reservation:
    url = await storage.sign_upload(caller, media["bucket_id"], media["path"])
    return Reservation(media=media, upload_url=url)


async def _add(
    rest: AsyncPostgrestClient, lesson_id: UUID, media_id: str, *, title: str | None, is_preview: bool
) -> InLesson:
    arguments: dict[str, Any] = {
        "lesson_id": str(lesson_id),
        "media_id": media_id,
        "title": title,
        "is_preview": is_preview,
    }
    added: Any = (await rest.rpc("add_lesson_media", arguments).execute()).data
    return InLesson(media=await uploads.row(rest, media_id), lesson_media=added)


async def _store_in_lesson(
    lesson_id: UUID,
    file: UploadFile,
    form: dict[str, str],
    *,
    caller: Caller,
    rest: AsyncPostgrestClient,
    storage: Storage,
    database: Database,
) -> InLesson:
    media = await uploads.store(
        caller,
        rest,
        database,
        storage,
        **await _content(file),
        reserve=lambda wanted: rest.rpc("reserve_lesson_media", {**wanted, "lesson_id": str(lesson_id)}).execute(),
    )
    is_preview = form.get("is_preview", "").lower() in {"true", "1"}
    return await _add(rest, lesson_id, media["id"], title=form.get("title") or None, is_preview=is_preview)


async def _store_picture(
    request: AnyRequest, caller: Caller, storage: Storage, *, bucket: str, folder: str, file: UploadFile
) -> Picture:
    sent = await _content(file)
    found = await uploads.inspect(sent["data"], sent["declared"])
    if found.content is None or found.width is None or found.height is None:
        raise error("media_content_refused")
    extension = found.mime_type.partition("/")[2].replace("jpeg", "jpg")
    path = f"{folder}/{uuid4()}.{extension}"
    await storage.upload(caller, bucket, path, found.content, found.mime_type)
    url = f"{request.app.state.settings[EdgeSettings].api_url}/storage/v1/object/public/{bucket}/{path}"
    return Picture(path=path, url=url, width=found.width, height=found.height)


async def _form(request: AnyRequest, *, most: int = 1) -> tuple[dict[str, str], list[UploadFile]]:
    """The fields and the files of a form.

    Raises:
        EdgeError: 400 `files_missing_in_form`, 413 `too_many_files`.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise error("files_missing_in_form")
    fields, files = {}, []
    for name, value in (await request.form()).multi_items():
        if isinstance(value, UploadFile):
            files.append(value)
        else:
            fields[name] = str(value)
    if not files:
        raise error("files_missing_in_form")
    if len(files) > most:
        raise error("too_many_files")
    return fields, files


async def _content(file: UploadFile) -> dict[str, Any]:
    data = await file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise error("file_too_large")
    return {"name": file.filename, "declared": file.content_type or "", "data": data}


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _is_head(request: AnyRequest) -> bool:
    return bool(request.scope.get(IS_HEAD))


def _functions_url(request: AnyRequest) -> str:
    return f"{request.app.state.settings[EdgeSettings].api_url}/functions/v1"


PACKAGE = HttpPackage(
    public=[stream, read_sample, read_public],
    for_users=[
        reserve, complete, reserve_for_lesson, complete_for_lesson, upload_to_lesson, upload, upload_avatar,
        upload_thumbnail, sign, read,
    ],
    tag=Tag(name="media", description="Uploads, lesson media, and playing them."),
)  # fmt: skip
