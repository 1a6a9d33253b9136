"""The calls of the Storage API, and the ASGI application that answers them."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import psycopg
import structlog

from stack.keys import KeyFile
from stack.storage import buckets, objects
from stack.storage.database import Call, Database, Transaction
from stack.storage.errors import (
    StorageError,
    access_denied,
    feature_not_enabled,
    from_database,
    internal,
    invalid_key,
    invalid_mime_type,
    invalid_parameter,
    invalid_request,
    no_such_bucket,
    no_such_key,
    too_large,
)
from stack.storage.files import Draft, Files, Stored
from stack.storage.http import (
    ClientLeftError,
    Message,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    decode_path,
    error_response,
    json_response,
)
from stack.storage.names import check_bucket_name, check_header, check_mime_type, check_object_name, is_allowed
from stack.storage.objects import Content, Place
from stack.storage.serving import describe, looks_like, serve
from stack.storage.settings import Settings
from stack.storage.tokens import UPLOAD_SECONDS, Caller, Tokens
from stack.storage.types import (
    CopyRequest,
    CreateBucketRequest,
    ListRequest,
    ListRequestV2,
    MoveRequest,
    RemoveRequest,
    Row,
    Rules,
    SignManyRequest,
    SignRequest,
    UpdateBucketRequest,
)
from stack.storage.uploads import Declared, Gate, Upload, receive
