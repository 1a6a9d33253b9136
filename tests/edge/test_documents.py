"""Certificates as PDF: who may print them, what they contain, and that a name cannot inject anything."""

import asyncio
import io
import json
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote
from uuid import uuid4

import httpx
import msgspec
import psycopg
import pypdf
import pytest
import typst

from common.text import printable
from edge.documents import fonts
from edge.documents.certificates import compose_certificate
from edge.documents.client import TEMPLATES, Printer
from edge.documents.types import Certificate
from edge.errors import EdgeError
from tests.edge.pdfs import fonts_of, links_of, pdf_of, unset, words_of
from tests.edge.support import CODE, PUBLIC_URL, Refused, Upstream

LONG = 300
FRAME_RIGHT = 286 / 25.4 * 72
"""The right side of the frame, in points from the left edge of the page."""


def boxes_of(compiler: typst.Compiler, letters: list[str]) -> int:
    """How many of these letters are printed as boxes."""
    source = """
        #import "house.typ": fonts
        #set page(height: auto)
        #let letters = json(bytes(sys.inputs.data))
        #for letter in letters [#text(font: fonts(letter), letter) ]
    """
    made = compiler.compile(source.encode(), format="pdf", sys_inputs={"data": json.dumps(letters)})
    assert isinstance(made, bytes)
    return unset(pypdf.PdfReader(io.BytesIO(made)))


def test_a_certificate_prints_holder_course_score_and_date(user: httpx.Client, upstream: Upstream) -> None:
    answer = user.get(f"/certificates/{upstream.certificate()}/pdf")

    document = pdf_of(answer)
    words = words_of(document)
    for expected in (
        "Ada Lovelace",
        "Counterpoint for Beginners",
        "Johann Joseph Fux",
        "92.5 %",
        "14 November 2026",
        CODE,
    ):
        assert expected in words
    [page] = document.pages
    assert [round(float(side)) for side in page.mediabox[2:]] == [842, 595]
    assert links_of(page) == {f"{PUBLIC_URL}/verify/{CODE}"}
    assert document.metadata is not None
    assert document.metadata.title is not None
    assert "Ada Lovelace" in document.metadata.title
    assert document.metadata.author == "Johann Joseph Fux"
    assert document.metadata.creation_date == datetime(2026, 11, 14, 23, 30, tzinfo=UTC)
    assert str(document.root_object["/Lang"]) == "en"


def test_a_certificate_may_have_no_score_and_no_creator(user: httpx.Client, upstream: Upstream) -> None:
    words = words_of(
        pdf_of(user.get(f"/certificates/{upstream.certificate(score_percent=None, creator_name=None)}/pdf"))
    )
    assert "Ada Lovelace" in words
    assert "%" not in words


def test_a_certificate_reads_only_the_columns_that_it_prints(user: httpx.Client, upstream: Upstream) -> None:
    identifier = upstream.certificate()
    user.get(f"/certificates/{identifier}/pdf")
    [(path, headers)] = upstream.requests
    columns = "id,code,status,holder_name,course_title,creator_name,issued_at,...quiz_attempts(score_percent)"
    assert unquote(path) == f"/rest/v1/certificates?select={columns}&id=eq.{identifier}"
    assert headers["accept-profile"] == "public"


def test_the_file_name_has_an_ascii_and_a_unicode_form(user: httpx.Client, upstream: Upstream) -> None:
    identifier = upstream.certificate(holder_name='Zoë "Z"\r\nX-Evil: 1', code='C"\r\n-1')
    answer = user.get(f"/certificates/{identifier}/pdf")
    assert pdf_of(answer)
    assert "x-evil" not in answer.headers
    name = quoted = answer.headers["content-disposition"]
    assert name.startswith("attachment; filename=\"certificate-C-1.pdf\"; filename*=UTF-8''")
    assert unquote(quoted.rpartition("''")[2]) == 'Counterpoint for Beginners - Zoë "Z" X-Evil: 1.pdf'


def test_the_same_certificate_gives_the_same_file(user: httpx.Client, upstream: Upstream) -> None:
    identifier = upstream.certificate()
    first, second = (user.get(f"/certificates/{identifier}/pdf") for _ in range(2))
    assert first.content == second.content
    assert first.headers["etag"] == second.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["vary"] == "authorization, Origin"

    known = {"if-none-match": f'"other", W/{first.headers["etag"]}'}
    kept = user.get(f"/certificates/{identifier}/pdf", headers=known)
    assert (kept.status_code, kept.content) == (304, b"")
    assert kept.headers["etag"] == first.headers["etag"]

    upstream.rows[identifier]["holder_name"] = "Ada King"
    assert "Ada King" in words_of(pdf_of(user.get(f"/certificates/{identifier}/pdf", headers=known)))


def test_a_certificate_that_the_caller_cannot_read_is_404(
    user: httpx.Client, upstream: Upstream, refused: Refused
) -> None:
    refused(user.get(f"/certificates/{uuid4()}/pdf"), 404, "certificate_not_found")
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("columns", [{"status": "pending"}, {"status": "revoked"}, {"issued_at": None}])
def test_only_an_issued_certificate_is_printed(
    columns: dict[str, str | None], user: httpx.Client, upstream: Upstream, refused: Refused
) -> None:
    refused(user.get(f"/certificates/{upstream.certificate(**columns)}/pdf"), 409, "certificate_not_issued")


INJECTIONS = [
    '#read("/etc/passwd")',
    '#read("certificate.typ")',
    "#sys.inputs",
    "$ x^2 $ *bold* _slanted_ `raw`",
    "<label> @reference // comment /* comment */",
    "\\u{41} \\ ~ -- --- ... 'single' \"double\"",
    "] } ) [ { ( ; #panic()",
    "= Heading",
    "https://evil.example.test/",
    "</svg><script>alert(1)</script>",
    '", "code": "GH-FAKE',
    "<!ENTITY x SYSTEM 'file:///etc/passwd'> &x;",
]


@pytest.mark.parametrize("name", INJECTIONS)
def test_a_name_is_never_read_as_markup(name: str, user: httpx.Client, upstream: Upstream) -> None:
    identifier = upstream.certificate(holder_name=name, course_title=name, creator_name=name)
    document = pdf_of(user.get(f"/certificates/{identifier}/pdf"))
    # A line break inside it reads as a space.
    assert words_of(document).replace(" ", "").count(name.replace(" ", "")) == 3
    assert document.metadata is not None
    assert document.metadata.author == name
    [page] = document.pages
    assert links_of(page) == {f"{PUBLIC_URL}/verify/{CODE}"}


@pytest.mark.parametrize("name", ["Žofie Đặng", "Ελένη Παπαδοπούλου", "Юлия Ёлкина", "İpek Çağlar", "Þór Ægisson"])
def test_latin_greek_and_cyrillic_names_are_printed(name: str, user: httpx.Client, upstream: Upstream) -> None:
    assert name in words_of(pdf_of(user.get(f"/certificates/{upstream.certificate(holder_name=name)}/pdf")))


SCRIPTS = {
    "Vietnamese": ("Nguyễn Thị Ngọc Ánh", "LibertinusSerif"),
    "Arabic": ("محمد بن موسى الخوارزمي", "NotoSansArabic"),
    "Persian": ("پروین اعتصامی می‌خواهم", "NotoSansArabic"),
    "Hebrew": ("אליעזר בן־יהודה", "LibertinusSerif"),
    "mixed": ("Dr. محمد (علي) Smith אברהם", "NotoSansArabic"),
    "Devanagari": ("क्षत्रिय श्रीमती लक्ष्मी त्रिपाठी", "NotoSansDevanagari"),
    "Bengali": ("রবীন্দ্রনাথ ঠাকুর", "NotoSansBengali"),
    "Gujarati": ("મોહનદાસ ગાંધી", "NotoSansGujarati"),
    "Gurmukhi": ("ਗੁਰੂ ਨਾਨਕ", "NotoSansGurmukhi"),
    "Tamil": ("திருவள்ளுவர்", "NotoSansTamil"),
    "Telugu": ("శ్రీనివాస రామానుజన్", "NotoSansTelugu"),
    "Kannada": ("ಕುವೆಂಪು", "NotoSansKannada"),
    "Malayalam": ("കമല സുരയ്യ", "NotoSansMalayalam"),
    "Sinhala": ("මාර්ටින් වික්‍රමසිංහ", "NotoSansSinhala"),
    "Thai": ("สมชาย ใจดีพงศ์พิพัฒน์", "NotoSansThai"),
    "Lao": ("ສຸລິວົງ", "NotoSansLao"),
    "Khmer": ("សុខ វិបុល ច័ន្ទមុនី", "NotoSansKhmer"),
    "Burmese": ("အောင်ဆန်း", "NotoSansMyanmar"),
    "Georgian": ("შოთა რუსთაველი", "NotoSansGeorgian"),
    "Armenian": ("Մեսրոպ Մաշտոց", "NotoSansArmenian"),
    "Ethiopic": ("ሃይለ ሥላሴ ገብረ ማርያም", "NotoSansEthiopic"),
    "Chinese": ("王小明 陶藝與書法", "NotoSansCJKsc"),
    "Japanese": ("山田 太郎 ひらがな カタカナ", "NotoSansCJKjp"),
    "Korean": ("김철수", "NotoSansCJKkr"),
    "Thaana": ("އިބްރާހިމް މުޙައްމަދު", "NotoSansThaana"),
    "Tibetan": ("བསྟན་འཛིན་རྒྱ་མཚོ", "NotoSerifTibetan"),
    "Syriac": ("ܐܦܪܝܡ ܣܘܪܝܝܐ", "NotoSansSyriac"),
    "Mongolian": ("ᠴᠢᠩᠭᠢᠰ ᠬᠠᠭᠠᠨ", "NotoSansMongolian"),
    "N'Ko": ("ߛߏߟߏߡߊߣߊ ߞߊ߲ߕߍ", "NotoSansNKo"),
    "Adlam": ("𞤀𞤣𞤤𞤢𞤥 𞤆𞤵𞤤𞤢𞤪", "NotoSansAdlam"),
    "Cherokee": ("ᏍᏏᏉᏯ", "NotoSansCherokee"),
    "Inuktitut": ("ᐊᒪᐅᔭᖅ", "NotoSansCanadianAboriginal"),
    "Tifinagh": ("ⵎⵓⵃⵎⵎⴷ", "NotoSansTifinagh"),
    "Javanese": ("ꦗꦺꦴꦏꦮꦶ", "NotoSansJavanese"),
    "Yi": ("ꆈꌠꉙ", "NotoSansYi"),
    "emoji": ("Zoë 👩‍🎓🎉☕ 🇵🇹", "NotoEmoji"),
}
"""Names, and the font of some of their characters."""
PLAIN = {"Vietnamese", "Georgian", "Armenian", "Ethiopic", "Chinese", "Japanese", "Korean"}
"""Scripts whose characters a PDF holds in reading order, so that their text can be extracted."""


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_name_is_printed_in_its_script(script: str, user: httpx.Client, upstream: Upstream) -> None:
    name, font = SCRIPTS[script]
    identifier = upstream.certificate(holder_name=name, course_title=name, creator_name=name)
    document = pdf_of(user.get(f"/certificates/{identifier}/pdf"))
    assert unset(document) == 0
    assert any(known.startswith(font) for known in fonts_of(document)), fonts_of(document)
    assert document.metadata is not None
    assert document.metadata.author == name
    if script in PLAIN:
        assert words_of(document).count(name) == 3


def test_the_database_knows_which_characters_can_be_printed(admin_db_url: str) -> None:
    with psycopg.connect(admin_db_url) as connection:
        (known,) = connection.execute("select private.printable_characters()").fetchone() or ()
    ranges = [(span.lower, span.upper - 1) for span in known]
    assert ranges == fonts.printable_ranges(), "write python -m edge.documents.fonts into learning_printable"


def test_every_printable_character_has_a_glyph() -> None:
    """Each letter, mark, number and sign that SQL accepts in a name, by itself; of Chinese and Korean ones a sample."""
    codes = (code for first, last in fonts.printable_ranges() for code in range(first, last + 1))
    shown = [chr(code) for code in codes if unicodedata.category(chr(code))[0] in "LMNPS"]
    many = [letter for letter in shown if unicodedata.name(letter, "").startswith(("CJK", "HANGUL SYLLABLE"))]
    sample = sorted(set(shown) - set(many)) + many[::97]
    assert len(sample) > 12_000
    boxes = []
    with TemporaryDirectory() as folder:
        fonts.unwrap(Path(folder))
        paths = [*fonts.folders(), Path(folder)]
        compiler = typst.Compiler(root=TEMPLATES, font_paths=paths, ignore_system_fonts=True)
        for begin in range(0, len(sample), 1000):
            part = sample[begin : begin + 1000]
            if boxes_of(compiler, part):
                boxes += [f"{ord(letter):x}" for letter in part if boxes_of(compiler, [letter])]
        # True of a letter that no font has.
        assert boxes_of(compiler, ["\N{CUNEIFORM SIGN A}"]) == 1
    assert not boxes


def test_characters_without_a_glyph_are_counted(user: httpx.Client, upstream: Upstream) -> None:
    identifier = upstream.certificate(holder_name="A\U00012000B\U00012001")
    assert unset(pdf_of(user.get(f"/certificates/{identifier}/pdf"))) == 2


@pytest.mark.parametrize(
    "name",
    [
        "W" * LONG,
        "Maria Magdalena " * (LONG // 16),
        "สมชายใจดีพงศ์พิพัฒน์" * (LONG // 20),
        "王小明" * (LONG // 3),
        "الخوارزمي " * (LONG // 10),
        "אליעזר בן־יהודה",
        "محمد بن موسى",
        "王小明",
        "नमस्ते",
        "👩‍🎓🏳️‍🌈" * 20,
        "Z" + "\u0301\u0327" * 60,
        "e\u0301" * LONG,
        "*" * LONG,
        "",
        "\u202e\u0000\u200f\ufeff",
        "\U0001fae9\ue000\uffff",
    ],
    ids=lambda name: repr(name)[:20],
)
def test_any_name_fits_on_one_page(name: str, user: httpx.Client, upstream: Upstream) -> None:
    identifier = upstream.certificate(
        holder_name=name, course_title=name, creator_name=name, code=f"{CODE}-{LONG:0>60}"
    )
    document = pdf_of(user.get(f"/certificates/{identifier}/pdf"))
    assert "This is to certify that" in words_of(document)


def test_long_words_stay_inside_the_frame(user: httpx.Client, upstream: Upstream) -> None:
    document = pdf_of(user.get(f"/certificates/{upstream.certificate(holder_name='W' * LONG)}/pdf"))
    words = words_of(document)
    assert words.replace(" ", "").count("W") >= LONG
    rights: list[float] = []

    def note(text: str, current: list[float], matrix: list[float], _font: object, size: float) -> None:
        if text.startswith("W"):
            # A W of this face is narrower than 0.95 of its size.
            rights.append(current[4] + matrix[4] + text.count("W") * size * 0.95)

    document.pages[0].extract_text(visitor_text=note)
    assert len(rights) > 1
    assert max(rights) < FRAME_RIGHT


def test_marks_of_direction_and_controls_are_removed() -> None:
    assert printable("a\u202eb\u2066c\u0000d\r\ne\u200ff  g ") == "abc d ef g"
    assert printable("e\u0301") == "\u00e9"
    assert printable("a" * 10_000) == "a" * 499 + "…"
    assert printable("👩‍🎓") == "👩‍🎓"


def test_documents_print_concurrently(user: httpx.Client, upstream: Upstream) -> None:
    identifiers = {name: upstream.certificate(holder_name=name) for name in (f"Number {n}" for n in range(24))}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda identifier: user.get(f"/certificates/{identifier}/pdf"), identifiers.values()))
    for name, answer in zip(identifiers, answers, strict=True):
        assert name in words_of(pdf_of(answer))


@pytest.fixture
def certificate(upstream: Upstream) -> Certificate:
    return msgspec.convert(upstream.rows[upstream.certificate()], Certificate)


@pytest.fixture
def printer() -> Iterator[Printer]:
    printer = Printer(PUBLIC_URL, time_cap=0)
    yield printer
    printer.close()


def test_a_document_that_takes_too_long_is_503(printer: Printer, certificate: Certificate) -> None:
    assert certificate.issued_at is not None
    document = compose_certificate(printer, certificate, certificate.issued_at)
    with pytest.raises(EdgeError) as refusal:
        asyncio.run(printer.render(document))
    assert (refusal.value.status, refusal.value.body.message) == (503, "document_timeout")


def test_the_folder_of_templates_holds_nothing_else() -> None:
    names = sorted(path.name for path in TEMPLATES.iterdir())
    assert names == ["certificate.typ", "contract.typ", "house.typ", "invoice.typ"]
