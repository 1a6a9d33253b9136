"""Routes of accounts."""

from collections import defaultdict
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import delete
from litestar.di import NamedDependency
from litestar.openapi.spec import Tag
from litestar.params import PathParameter, QueryParameter
from postgrest import AsyncPostgrestClient

from edge.accounts.types import File
from edge.auth import Caller
from edge.errors import EdgeError
from edge.http.openapi import error_responses
from edge.http.package import HttpPackage
from edge.storage import Storage

FILES_REMAIN = "files_remain"


@delete(
    "/users/{user_id:uuid}",
    summary="Erase an account with all its files: one's own, or any for admins",
    tags=["accounts"],
    responses=error_responses(
        calls=("delete_account", "delete_user", "personal_files"), tokens=("last_superadmin", "storage_unavailable")
    ),
)
async def delete_user(
    *,
    user_id: Annotated[UUID, PathParameter(description="The user: the caller, or anybody for admins")],
    caller: NamedDependency[Caller],
    rest: NamedDependency[AsyncPostgrestClient],
    storage: NamedDependency[Storage],
    obligations: Annotated[
        list[str] | None,
        QueryParameter(
            description="For admins: how to close each kind of `account_obligations`, such as `balance:keep`"
        ),
    ] = None,
    keeps_name: Annotated[
        bool, QueryParameter(description="Of one's own account: whether the name stays on certificates")
    ] = False,
) -> None:
    """Let the database erase the user; where it refuses because files remain, remove them and try once more.

    The database decides first, so that no files are lost to a caller who may not delete their owner.
    """
    ways = dict(each.partition(":")[::2] for each in obligations or ())
    try:
        await _erase(user_id, ways, caller, rest, keeps_name=keeps_name)
    except EdgeError as refusal:
        if refusal.body.message != FILES_REMAIN:
            raise
        found = await rest.rpc("personal_files", {"user_id": str(user_id)}).execute()
        folders = defaultdict(list)
        for file in msgspec.convert(found.data, list[File]):
            folders[file.bucket_id].append(file.name)
        for bucket, names in folders.items():
            await storage.remove(caller, bucket, names)
        await _erase(user_id, ways, caller, rest, keeps_name=keeps_name)


async def _erase(
    user_id: UUID, ways: dict[str, str], caller: Caller, rest: AsyncPostgrestClient, *, keeps_name: bool
) -> None:
    if user_id == caller.user_id and not ways:
        chosen: dict[str, Any] = {"keeps_name": keeps_name}
        await rest.rpc("delete_account", chosen).execute()
    else:
        arguments: dict[str, Any] = {"user_id": str(user_id), "obligations": ways}
        await rest.rpc("delete_user", arguments).execute()


PACKAGE = HttpPackage(for_users=[delete_user], tag=Tag(name="accounts", description="Erasing an account."))
