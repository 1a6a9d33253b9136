"""The text, fonts and links of a PDF of one page."""

import io

import httpx
import pypdf
from pypdf.generic import ByteStringObject, ContentStream, TextStringObject


def pdf_of(answer: httpx.Response) -> pypdf.PdfReader:
    """The document in an answer."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pdf"
    return pypdf.PdfReader(io.BytesIO(answer.content))


def words_of(document: pypdf.PdfReader) -> str:
    """The text of the page, without line ends and the invisible places where a long word may break."""
    [page] = document.pages
    return " ".join(page.extract_text().replace("\u200b", "").split())


def unset(document: pypdf.PdfReader) -> int:
    """How many characters of the page have no glyph: the first glyph of every font is the box that stands for them."""
    [page] = document.pages
    shown = []
    for operands, operator in ContentStream(page.get_contents(), document).operations:
        if operator in {b"Tj", b"TJ"}:
            shown += operands[0] if operator == b"TJ" else operands
    count = 0
    for text in shown:
        if isinstance(text, ByteStringObject | TextStringObject):  # between them, TJ has numbers
            glyphs = text.original_bytes
            assert len(glyphs) % 2 == 0
            count += sum(glyphs[place : place + 2] == b"\0\0" for place in range(0, len(glyphs), 2))
    return count


def fonts_of(document: pypdf.PdfReader) -> set[str]:
    """The fonts of the page, all of which are embedded."""
    [page] = document.pages
    fonts = [font.get_object() for font in page["/Resources"]["/Font"].values()]  # type: ignore[index]
    for font in fonts:
        descriptor = font["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
        assert {"/FontFile2", "/FontFile3"} & descriptor.keys()
    return {str(font["/BaseFont"]).partition("+")[2] for font in fonts}


def links_of(page: pypdf.PageObject) -> set[str]:
    """The targets of the links of the page."""
    return {str(annotation.get_object()["/A"]["/URI"]) for annotation in page.annotations or []}
