use std::collections::HashMap;

use crate::exports::deflate::Deflater;
use crate::exports::deflate::deflate;
use crate::exports::xlsx::text::has_edges;
use crate::exports::xlsx::text::is_plain;
use crate::exports::xlsx::text::write_escaped;
use crate::exports::xlsx::zip::ZipWriter;
use crate::tests::python;

const END_64: &[u8] = b"PK\x06\x06";

/// A file of an entry given whole, one in many pieces, and an empty one.
fn archive(wide_from: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut zip = ZipWriter::with_wide_from(&mut out, wide_from);
    zip.add("first.xml", deflate(b"<first/>", 2).unwrap()).unwrap();
    zip.begin("sheet.xml").unwrap();
    let mut deflater = Deflater::new(2);
    for piece in 0..10 {
        for line in 0..1_000 {
            deflater
                .push(format!("piece {piece}, line {line}\n").as_bytes())
                .unwrap();
        }
        zip.append(&deflater.piece().unwrap()).unwrap();
    }
    zip.end().unwrap();
    zip.begin("empty.xml").unwrap();
    zip.end().unwrap();
    zip.finish().unwrap();
    out
}

/// Python's `zipfile` checks every checksum and says what is in the file.
fn assert_whole(bytes: &[u8]) {
    let script = r#"
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    assert archive.namelist() == ["first.xml", "sheet.xml", "empty.xml"]
    assert archive.read("first.xml") == b"<first/>"
    lines = [f"piece {piece}, line {line}\n" for piece in range(10) for line in range(1000)]
    assert archive.read("sheet.xml").decode() == "".join(lines)
    assert archive.getinfo("sheet.xml").file_size == len("".join(lines))
    assert archive.read("empty.xml") == b""
    assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
"#;
    python("archive.zip", bytes, script, &[]);
}

#[test]
fn archive_is_whole() {
    let usual = archive(u32::MAX.into());
    assert!(!usual.windows(4).any(|bytes| bytes == END_64));
    assert_whole(&usual);
    // Numbers of more than 32 bits stand elsewhere: each of these limits is passed by other ones.
    for wide_from in [0, 8, 1_000, 20_000, 100_000] {
        let wide = archive(wide_from);
        let end = wide.windows(4).any(|bytes| bytes == END_64);
        assert_eq!(end, wide_from < 100_000);
        assert_whole(&wide);
    }
}

#[test]
fn header_of_a_sheet_has_the_form_that_excel_reads() {
    let bytes = archive(u32::MAX.into());
    let name = bytes.windows(9).position(|name| name == b"sheet.xml").unwrap();
    let header = &bytes[name - 30..name];
    assert_eq!(&header[..10], b"PK\x03\x04\x2d\0\x08\0\x08\0");
    assert_eq!(&header[14..], b"\0\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\0");
}

fn escaped(text: &str) -> String {
    let mut out = Vec::new();
    write_escaped(text, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn texts_are_escaped_as_excel_does() {
    let cases = HashMap::from([
        ("", ""),
        ("plain", "plain"),
        ("a < b && c > \"d\"", "a &lt; b &amp;&amp; c &gt; \"d\""),
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb", "a_x000D_\nb"),
        ("\0\u{1f}", "_x0000__x001F_"),
        ("\u{fffe}\u{ffff}\u{fffd}", "_xFFFE__xFFFF_\u{fffd}"),
        ("_x0041_", "_x005F_x0041_"),
        ("_x0041_x0042_", "_x005F_x0041_x005F_x0042_"),
        ("_xd83d__xDE00_", "_x005F_xd83d__x005F_xDE00_"),
        // The escape that follows would end the one that the text begins.
        ("_x000D\r", "_x005F_x000D_x000D_"),
        (
            "_X0041_ _x041_ _x004g_ _x0041 __x",
            "_X0041_ _x041_ _x004g_ _x0041 __x",
        ),
        ("_xé00_ 😀 ｱ", "_xé00_ 😀 ｱ"),
    ]);
    for (text, wanted) in cases {
        assert_eq!(escaped(text), wanted);
        assert!(wanted == text || !is_plain(text.as_bytes()), "{text:?}");
    }
}

#[test]
fn only_white_space_of_xml_is_an_edge() {
    for (text, edges) in [
        ("", false),
        ("a b", false),
        (" a", true),
        ("a\n", true),
        ("\ta", true),
        ("\u{a0}a\u{2003}", false),
    ] {
        assert_eq!(has_edges(text.as_bytes()), edges, "{text:?}");
    }
}
