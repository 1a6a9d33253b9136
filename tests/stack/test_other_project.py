"""The embedded Supabase runs any project, and names nothing of Guildhall."""

import ast
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from stack.paths import ROOT
from stack.ports import Ports, free_block
from stack.project import ExtraPart, Project
from stack.state import Folder
from stack.tools.project import GUILDHALL

CONFIG = """
project_id = "library"
[api]
schemas = ["library"]
"""
MIGRATION = """
create schema library;
grant usage on schema library to anon, authenticated;
create table library.books (
    id bigint generated always as identity primary key,
    owner_id uuid not null default auth.uid() references auth.users (id),
    title text not null
);
alter table library.books enable row level security;
create policy books_owner on library.books to authenticated using (owner_id = (select auth.uid()));
grant select, insert on library.books to authenticated;
insert into storage.buckets (id, name) values ('covers', 'covers');
create policy covers_owner on storage.objects to authenticated
using (bucket_id = 'covers' and owner_id = (select auth.uid())::text);
"""
SEED = "insert into auth.users (id, email) values ('b0000000-0000-4000-8000-000000000001', 'seeded@example.com');"
PROGRAM = """
import sys
from pathlib import Path
from stack.project import Project
from stack.state import Folder
from stack.supervisor import supervise

supervise(
    Project(folder=Path(sys.argv[1])),
    Folder(Path(sys.argv[2])),
    port=int(sys.argv[3]),
    report=lambda line: print(line, flush=True),
    on_ready=lambda: print("ready", flush=True),
)
"""
OWN = ("tools", "doubles", "__main__.py")
"""What is Guildhall's own below stack/."""
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(40)


class Library:
    """A running stack of another project."""

    def __init__(self, data: Path, ports: Ports) -> None:
        """Args: its data folder and ports."""
        keys = Folder(data).keys()
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{ports.api}", headers={"apikey": keys.publishable})

    def sign_up(self, email: str) -> dict[str, str]:
        """The headers of a new user."""
        answer = self.http.post("/auth/v1/signup", json={"email": email, "password": "kiln-and-clay-9"})
        assert answer.status_code == 200, answer.text
        return {"authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture(scope="module")
def library() -> Iterator[Library]:
    """A stack of another project, which only the generic modules start."""
    with tempfile.TemporaryDirectory(prefix="guildhall-library-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # Postgres enters it as an unprivileged user
        supabase = folder / "project" / "supabase"
        (supabase / "migrations").mkdir(parents=True)
        (supabase / "config.toml").write_text(CONFIG)
        (supabase / "migrations" / "20260101000000_books.sql").write_text(MIGRATION)
        (supabase / "seed.sql").write_text(SEED)
        ports = free_block()
        command = [sys.executable, "-c", PROGRAM, str(folder / "project"), str(folder / "data"), str(ports.base)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as supervisor:
            assert supervisor.stdout is not None
            try:
                assert "ready\n" in iter(supervisor.stdout.readline, "")
                running = Library(folder / "data", ports)
                yield running
                running.http.close()
            finally:
                supervisor.send_signal(signal.SIGTERM)
                assert supervisor.wait(timeout=30) == 0


def test_another_project_has_auth_rest_and_storage(library: Library) -> None:
    http = library.http
    ada, bob = library.sign_up("ada@example.com"), library.sign_up("bob@example.com")
    made = http.post("/rest/v1/books", json={"title": "Notes"}, headers={**ada, "Prefer": "return=representation"})
    assert made.status_code == 201, made.text
    for who, titles in ((ada, ["Notes"]), (bob, [])):
        shown = http.get("/rest/v1/books?select=title", headers=who)
        assert [each["title"] for each in shown.json()] == titles
    cover = "/storage/v1/object/covers/notes.png"
    assert http.post(cover, content=PICTURE, headers={**ada, "content-type": "image/png"}).status_code == 200
    assert http.get(cover, headers=ada).content == PICTURE
    assert http.get(cover, headers=bob).status_code == 400
    assert http.get("/health").json()["parts"] == dict.fromkeys(("rest", "auth", "storage"), "ok")
    assert http.get("/functions/v1/health").status_code == 404


def names_of(live: psycopg.Connection, query: str) -> set[str]:
    """The names in Guildhall's schemas that a query finds."""
    schemas = "in ('public'::regnamespace, 'private'::regnamespace)"
    return {name for (name,) in live.execute(query.format(schemas).encode()).fetchall()}


def generic_files() -> list[Path]:
    """The files of the embedded Supabase."""
    files = [*(ROOT / "stack").rglob("*.py"), *(ROOT / "stack").rglob("*.sql")]
    return [file for file in files if file.relative_to(ROOT / "stack").parts[0] not in OWN]


def test_generic_modules_name_nothing_of_guildhall(live: psycopg.Connection) -> None:
    tables = names_of(live, "select relname from pg_class where relnamespace {} and relkind in ('r', 'p', 'v')")
    functions = names_of(live, "select proname from pg_proc where pronamespace {}")
    assert ({"courses", "lesson_progress"} <= tables, "has_role" in functions) == (True, True)
    # A plain word, such as `sessions`, is a table of Guildhall's only where a schema or a path says so.
    compound = "|".join(sorted(name for name in tables if "_" in name))
    every = "|".join(sorted(tables | functions))
    provider = "|".join(double.name for double in GUILDHALL.doubles)
    pattern = re.compile(
        rf"(?<![\w.])(?:{compound})\b|\b(?:public|private)\.(?:{every})\b|/rest/v1/(?:rpc/)?(?:{every})\b|(?i:{provider})"
    )
    assert pattern.search("/rest/v1/courses?id=eq.1"), "the pattern finds a table"
    assert pattern.search("select private.has_role('admin')"), "the pattern finds a function"
    files = generic_files()
    assert len(files) > 80
    found = [
        f"{file.relative_to(ROOT)}:{number}: {match[0]}"
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if (match := pattern.search(line))
    ]
    assert found == [], "move these to stack/tools or stack/doubles:\n" + "\n".join(found)


def imports(source: str) -> Iterator[str]:
    """The modules that a source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_own(module: str) -> bool:
    """Whether a module is Guildhall's."""
    return re.match(r"(edge|bench|tests|stack\.(tools|doubles))\b", module) is not None


def test_generic_modules_import_nothing_of_guildhall() -> None:
    assert [*filter(is_own, imports("import edge.app\nfrom stack import tools\nfrom stack import parts"))] == [
        "edge.app",
        "stack.tools",
    ]
    found = {
        f"{file.relative_to(ROOT)}: {module}"
        for file in generic_files()
        if file.suffix == ".py"
        for module in imports(file.read_text())
        if is_own(module)
    }
    assert found == set()


def test_only_a_double_names_its_provider() -> None:
    """Of stack/, a provider's name stands in its own package and in the line that lists it."""
    for double in GUILDHALL.doubles:
        folder = ROOT / "stack" / "doubles" / double.name
        named = {
            file.relative_to(ROOT / "stack").as_posix()
            for file in (ROOT / "stack").rglob("*.py")
            if folder not in file.parents and double.name in file.read_text().lower()
        }
        assert named == {"doubles/__init__.py"}


@pytest.mark.parametrize("offset", [0, 5, 20, -1])
def test_a_port_that_another_part_has_is_refused(offset: int) -> None:
    edge = ExtraPart(name="edge", module="edge", title="edge", port_offset=5)
    with pytest.raises(ValueError, match="port_offset"):
        Project(folder=ROOT, parts=(edge, ExtraPart(name="x", module="x", title="x", port_offset=offset)))
