use std::io::Write as _;

use crate::error::ErrorCode;
use crate::imports::Compression;
use crate::imports::CsvOptions;
use crate::imports::Encoding;
use crate::imports::prepare;
use crate::imports::tests::NEVER;
use crate::imports::tests::USUAL;
use crate::imports::tests::load_as;
use crate::imports::tests::prepared;
use crate::imports::tests::row;
use crate::imports::tests::upload;

const TEXT: &str = "name,city\nJosé,Köln\nZoë €,São\n";

fn utf16(text: &str, big: bool) -> Vec<u8> {
    let bytes = |unit: u16| {
        if big {
            unit.to_be_bytes()
        } else {
            unit.to_le_bytes()
        }
    };
    text.encode_utf16().flat_map(bytes).collect()
}

fn windows(text: &str) -> Vec<u8> {
    encoding_rs::WINDOWS_1252.encode(text).0.into_owned()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn given(encoding: Encoding) -> CsvOptions {
    CsvOptions {
        encoding: Some(encoding),
        ..CsvOptions::default()
    }
}

fn refused(bytes: &[u8], options: &CsvOptions) -> String {
    prepared(bytes, options).err().unwrap().to_string()
}

#[test]
fn encodings_are_recognized() {
    let none = CsvOptions::default();
    let marked = |text: &str, big| utf16(&format!("\u{feff}{text}"), big);
    let cases = [
        (TEXT.as_bytes().to_vec(), none.clone(), Encoding::Utf8),
        (
            format!("\u{feff}{TEXT}").into_bytes(),
            none.clone(),
            Encoding::Utf8,
        ),
        (marked(TEXT, false), none.clone(), Encoding::Utf16Le),
        (marked(TEXT, true), none.clone(), Encoding::Utf16Be),
        (utf16(TEXT, false), none.clone(), Encoding::Utf16Le),
        (utf16(TEXT, true), none.clone(), Encoding::Utf16Be),
        (windows(TEXT), none, Encoding::Windows1252),
        (windows(TEXT), given(Encoding::Windows1252), Encoding::Windows1252),
        (utf16(TEXT, true), given(Encoding::Utf16Be), Encoding::Utf16Be),
        // `utf-16` leaves it to the mark.
        (
            marked(TEXT, true),
            given("utf-16".parse().unwrap()),
            Encoding::Utf16Be,
        ),
    ];
    let wanted = [row(&["José", "Köln"]), row(&["Zoë €", "São"])];
    for (bytes, options, encoding) in cases {
        for packed in [
            bytes.clone(),
            gzip(&bytes),
            zstd::encode_all(&bytes[..], 1).unwrap(),
        ] {
            let loaded = load_as(&packed, &options, USUAL).unwrap();
            assert_eq!(loaded.survey.encoding, encoding, "{bytes:?}");
            assert_eq!(loaded.rows, wanted, "{encoding}");
            assert_eq!(loaded.survey.columns[0].name, "name");
        }
    }
}

#[test]
fn a_plain_file_is_used_where_it_is() {
    let (folder, path) = upload(format!("\u{feff}{TEXT}").as_bytes());
    let prepared = prepare(&path, folder.path(), &CsvOptions::default(), 10, &NEVER).unwrap();
    assert_eq!(prepared.path, path);
    assert_eq!((prepared.start, prepared.compression), (3, Compression::None));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn text_that_is_no_text_is_refused_by_line() {
    let none = CsvOptions::default();
    let mixed = [b"a,b\n\xc3\xa9,1\n\xe9,2\n".as_slice(), &b"x,y\n".repeat(200_000)].concat();
    let late = [&b"a\xe9,b\n".repeat(100_000)[..], b"\xc3\xa9,1\n"].concat();
    let utf8 = given(Encoding::Utf8);
    let windows = given(Encoding::Windows1252);
    let cases: [(&[u8], &CsvOptions, &str); 10] = [
        (
            &mixed,
            &none,
            "line 3 is not valid UTF-8 (byte 0xe9 at offset 9); give --encoding",
        ),
        (&late, &none, "line 1 is not valid UTF-8 (byte 0xe9 at offset 1)"),
        (
            b"a\nb\x81\n",
            &none,
            "line 2 is not valid UTF-8 (byte 0x81 at offset 3)",
        ),
        (b"a\n\xe9\n", &utf8, "line 2 is not valid UTF-8"),
        (b"a\rb\r\xe9\r", &utf8, "line 3 is not valid UTF-8"),
        (
            b"a\nb\x81\n",
            &windows,
            "line 2 is not valid windows-1252 (byte 0x81)",
        ),
        (b"a,b\n1,2\n1,\0\n", &none, "line 3 has a NUL byte"),
        (b"a,b\n1,2\n1,\0\n", &windows, "line 3 has a NUL byte"),
        (
            b"a\0\n\0b",
            &given(Encoding::Utf16Le),
            "line 2 is not valid utf-16le",
        ),
        (
            b"\xff\xfea\0",
            &utf8,
            "the file begins with the byte order mark of utf-16le",
        ),
    ];
    for (bytes, options, wanted) in cases {
        let message = refused(bytes, options);
        assert!(message.starts_with(wanted), "{message}");
    }
}

#[test]
fn a_character_may_lie_on_a_blocks_border() {
    for before in 262_140..262_148 {
        let text = format!("{},é€😀\n", "x".repeat(before));
        let (_folder, prepared) = prepared(text.as_bytes(), &CsvOptions::default()).unwrap();
        assert_eq!(prepared.encoding, Encoding::Utf8);
        let (_folder, prepared) = super::prepared(&utf16(&text, false), &CsvOptions::default()).unwrap();
        assert_eq!(std::fs::read_to_string(&prepared.path).unwrap(), text);
    }
}

#[test]
fn archives_may_have_several_members_but_no_gaps() {
    let (first, second) = TEXT.as_bytes().split_at(15);
    let members = [gzip(first), gzip(second)].concat();
    let frames = [first, second]
        .map(|part| zstd::encode_all(part, 1).unwrap())
        .concat();
    for (archive, name) in [(members, "gzip"), (frames, "zstd")] {
        assert_eq!(
            load_as(&archive, &CsvOptions::default(), USUAL)
                .unwrap()
                .rows
                .len(),
            2
        );
        for cut in [archive.len() - 1, archive.len() / 2 - 10, 6] {
            let message = refused(&archive[..cut], &CsvOptions::default());
            assert!(
                message.starts_with(&format!("the {name} archive is cut off")),
                "{cut}: {message}"
            );
        }
    }
}

#[test]
fn what_unpacks_to_too_much_is_refused() {
    let large = b"a,b\n".repeat(1 << 20);
    for packed in [gzip(&large), utf16(&"x,y\n".repeat(1 << 18), false)] {
        let (folder, path) = upload(&packed);
        let error = prepare(&path, folder.path(), &CsvOptions::default(), 1 << 19, &NEVER).unwrap_err();
        assert_eq!(error.code, ErrorCode::TooLarge);
        assert!(error.to_string().contains("upload_bytes_max"), "{error}");
    }
}
