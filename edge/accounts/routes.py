"""Routes of accounts."""

from collections import defaultdict
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, delete
from litestar.di import NamedDependency, Provide
from litestar.params import PathParameter
from postgrest import AsyncPostgrestClient

from edge.accounts.types import File
from edge.auth import Caller
from edge.errors import EdgeError
from edge.openapi import refusals
from edge.storage import UNAVAILABLE, Storage, provide_storage

FILES_REMAIN = "files_remain"


@delete(
    "/users/{user_id:uuid}",
    summary="Erase oneself, or, for admins, somebody, with all files",
    tags=["accounts"],
    responses=refusals(
        (403, "account_inactive", "The caller's account is suspended or banned."),
        (403, "role_required", "Only admins delete somebody else."),
        (403, "target_protected", "Moderators and admins are deleted by superadmins only."),
        (404, "user_not_found", "There is no such user."),
        (409, "files_remain", "A file was added in the meantime: try again."),
        (409, "last_superadmin", "Nobody would be left who can grant roles."),
        UNAVAILABLE,
    ),
)
async def delete_user(
    user_id: Annotated[UUID, PathParameter(description="The user: oneself, or for admins somebody else")],
    caller: NamedDependency[Caller],
    rest: NamedDependency[AsyncPostgrestClient],
    storage: NamedDependency[Storage],
) -> None:
    """Have the database erase a user; where it says that files remain, remove them first.

    The database is asked first, so that nobody loses a file to somebody who may not delete him.
    """
    try:
        await _erase(user_id, caller, rest)
    except EdgeError as error:
        if error.body.message != FILES_REMAIN:
            raise
        found = await rest.rpc("personal_files", {"user_id": str(user_id)}).execute()
        folders = defaultdict(list)
        for file in msgspec.convert(found.data, list[File]):
            folders[file.bucket_id].append(file.name)
        for bucket, names in folders.items():
            await storage.remove(caller, bucket, names)
        await _erase(user_id, caller, rest)


async def _erase(user_id: UUID, caller: Caller, rest: AsyncPostgrestClient) -> None:
    if user_id == caller.user_id:
        await rest.rpc("delete_account", {}).execute()
    else:
        await rest.rpc("delete_user", {"user_id": str(user_id)}).execute()


router = Router(path="/", route_handlers=[delete_user], dependencies={"storage": Provide(provide_storage)})
