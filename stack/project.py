"""What the stack runs: a folder with a Supabase project, and the processes that the project adds to Supabase's own."""

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import msgspec

from stack.config import Config
from stack.findings import Finding
from stack.ports import CLAIM_OFFSET, Ports


class ExtraPart(msgspec.Struct, frozen=True, kw_only=True):
    """A process that a project runs beside Supabase's own.

    `environment` holds templates. `{port}`, `{url}`, `{database_url}` and `{token}` are the part's own;
    `stack.parts.variables` lists the names that every template may use.
    """

    name: str
    module: str
    """What `python -m` runs, in the project's folder."""
    title: str
    """What messages and `up` call the part."""
    port_offset: int
    """How far its port is from the stack's first port."""
    health_path: str = "/ready"
    """Answers 200 when the part can do its work."""
    wave: int = 2
    """Parts of a higher wave depend on parts of a lower one, and stop before them."""
    is_listed: bool = False
    """Whether `status` prints the part's address, as NAME_URL."""
    database_role: str | None = None
    """The login role whose address is `{database_url}`."""
    token_role: str | None = None
    """The role of the token `{token}`, for calls of PostgREST and Storage. The migrations make it, and grant it to
    `authenticator`."""
    environment: dict[str, str] = {}

    @property
    def address_name(self) -> str:
        """The name by which `status` prints its address."""
        return f"{self.name.upper()}_URL"


class Double(ExtraPart, frozen=True, kw_only=True):
    """A process that plays a provider. It runs only where the environment holds no key of the provider itself.

    Templates of a double and of its callers may also use the names in `keys`; in those of callers `{url}` is the
    double's address.
    """

    health_path: str = "/health"
    wave: int = 1
    is_listed: bool = True
    keys: dict[str, str]
    """Secrets that are generated once for a data folder: name, and how the value begins."""
    real_keys: tuple[str, ...]
    """Variables of the environment. If one of them is set, the parts call the provider and the double does not run."""
    callers: dict[str, dict[str, str]]
    """What the parts that call the provider are given while the double runs: part, variable, template."""
    real_callers: dict[str, dict[str, tuple[str, ...]]]
    """What they are given otherwise: part, variable, and the variables of the environment of which the first that is
    set is the value."""
    reset_path: str
    """POST here, with `reset_key` as bearer, makes the double forget everything."""
    reset_key: str

    def key_name(self, key: str) -> str:
        """The name of one of its keys in the state of a stack."""
        return f"{self.name}_{key}"

    def real_variables(self) -> set[str]:
        """Every variable that may hold something of the provider itself."""
        variables = {name for part in self.real_callers.values() for names in part.values() for name in names}
        return variables | set(self.real_keys)


class Project(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A Supabase project, and what it adds to the stack. A folder alone is a project."""

    folder: Path
    """Holds supabase/config.toml and supabase/migrations."""
    parts: tuple[ExtraPart, ...] = ()
    doubles: tuple[Double, ...] = ()
    accounts: dict[str, str] = {}
    """Users of the seed that `up` names: address, and what they do."""
    accounts_password: str = ""
    user_query: str | None = None
    """SQL that describes the user %(user_id)s to `explain`: one row with `status` (text) and `roles` (text[])."""
    findings: Callable[[], Iterator[Finding]] | None = None
    """What `doctor` looks for besides the stack."""

    def __post_init__(self) -> None:
        """See that every extra part has a port of its own. Raises ValueError."""
        uses = Ports(base=0).uses()
        for part in self.extra_parts():
            if not 0 <= part.port_offset < CLAIM_OFFSET or part.port_offset in uses:
                raise ValueError(
                    f"{part.name}: port_offset {part.port_offset} is taken, or not from 0 to {CLAIM_OFFSET - 1}"
                )
            uses[part.port_offset] = part.title

    @cached_property
    def config(self) -> Config:
        """supabase/config.toml. Raises StackError where it cannot be read."""
        return Config.load(self.folder / "supabase" / "config.toml")

    @property
    def migrations(self) -> Path:
        """The folder of the migrations."""
        return self.folder / "supabase" / "migrations"

    def seeds(self) -> list[Path]:
        """The files that fill a new database, in order."""
        seed = self.config.db.seed
        if not seed.enabled:
            return []
        return [file for pattern in seed.sql_paths for file in sorted((self.folder / "supabase").glob(pattern))]

    def extra_parts(self) -> tuple[ExtraPart, ...]:
        """Every process that the project adds, whether or not a double's provider is real."""
        return (*self.parts, *self.doubles)

    def login_roles(self) -> tuple[str, ...]:
        """The database roles of its parts."""
        return tuple(part.database_role for part in self.parts if part.database_role is not None)

    def token_roles(self) -> tuple[str, ...]:
        """The database roles of the tokens of its parts."""
        return tuple(part.token_role for part in self.parts if part.token_role is not None)

    def double_keys(self) -> dict[str, str]:
        """The keys of all doubles, by their name in the state of a stack: how each begins."""
        return {double.key_name(key): prefix for double in self.doubles for key, prefix in double.keys.items()}

    def port(self, base: int, name: str) -> int:
        """The port of an extra part in the stack whose first port is `base`. Raises KeyError for an unknown name."""
        return {part.name: base + part.port_offset for part in self.extra_parts()}[name]

    def port_uses(self, base: int) -> dict[int, str]:
        """What each port of the stack whose first port is `base` is for."""
        extra = {base + part.port_offset: part.title for part in self.extra_parts()}
        return dict(sorted((Ports(base=base).uses() | extra).items()))
