//! The small files of a workbook: what there is, how it hangs together, how cells look.

use std::fmt::Write as _;

use crate::exports::xlsx::cell::MomentStyle;

/// A file of these parts, behind what every XML file here begins with.
macro_rules! xml {
    ($($part:expr),+ $(,)?) => {
        concat!(r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#, "\n", $($part),+)
    };
}
pub(super) use xml;

/// Name and content of the files that are the same in every workbook; they come first.
/// That `xml` is a sheet unless said otherwise lets this be written before the number of sheets is known.
pub(super) const FIRST: [(&str, &str); 3] = [
    (
        "[Content_Types].xml",
        xml!(
            r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">"#,
            r#"<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>"#,
            r#"<Default Extension="xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>"#,
            r#"<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>"#,
            r#"<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/>"#,
            "</Types>",
        ),
    ),
    (
        "_rels/.rels",
        xml!(
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">"#,
            r#"<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>"#,
            "</Relationships>",
        ),
    ),
    (
        "xl/styles.xml",
        xml!(
            r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">"#,
            r#"<numFmts count="5">"#,
            r#"<numFmt numFmtId="164" formatCode="yyyy-mm-dd"/>"#,
            r#"<numFmt numFmtId="165" formatCode="yyyy-mm-dd hh:mm:ss"/>"#,
            r#"<numFmt numFmtId="166" formatCode="yyyy-mm-dd hh:mm:ss.000"/>"#,
            r#"<numFmt numFmtId="167" formatCode="hh:mm:ss"/>"#,
            r#"<numFmt numFmtId="168" formatCode="hh:mm:ss.000"/>"#,
            "</numFmts>",
            r#"<fonts count="2">"#,
            r#"<font><sz val="11"/><name val="Calibri"/><family val="2"/></font>"#,
            r#"<font><b/><sz val="11"/><name val="Calibri"/><family val="2"/></font>"#,
            "</fonts>",
            r#"<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>"#,
            r#"<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>"#,
            r#"<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>"#,
            r#"<cellXfs count="7">"#,
            r#"<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>"#,
            r#"<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>"#,
            r#"<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>"#,
            r#"<xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>"#,
            r#"<xf numFmtId="166" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>"#,
            r#"<xf numFmtId="167" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>"#,
            r#"<xf numFmtId="168" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>"#,
            "</cellXfs>",
            r#"<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>"#,
            "</styleSheet>",
        ),
    ),
];

/// The place of a style in `cellXfs` of `xl/styles.xml`.
pub(super) const HEADER_STYLE: u8 = 1;

pub(super) fn style_of(moment: MomentStyle) -> u8 {
    match moment {
        MomentStyle::Date => 2,
        MomentStyle::Timestamp => 3,
        MomentStyle::TimestampFraction => 4,
        MomentStyle::Time => 5,
        MomentStyle::TimeFraction => 6,
    }
}

/// Of the sheet with this number, from 1.
pub(super) fn sheet_path(number: usize) -> String {
    format!("xl/worksheets/sheet{number}.xml")
}

/// Name and content of the files that list the sheets; they come last.
pub(super) fn last(sheets: usize) -> [(&'static str, String); 2] {
    let mut book = String::from(xml!(
        r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" "#,
        r#"xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">"#,
        r#"<bookViews><workbookView activeTab="0"/></bookViews><sheets>"#,
    ));
    let mut relations = String::from(xml!(
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">"#,
    ));
    let relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    for number in 1..=sheets {
        // Writing to a string cannot fail.
        let _ = write!(
            book,
            r#"<sheet name="Sheet{number}" sheetId="{number}" r:id="rId{number}"/>"#
        );
        let _ = write!(
            relations,
            r#"<Relationship Id="rId{number}" Type="{relation}/worksheet" Target="worksheets/sheet{number}.xml"/>"#
        );
    }
    book.push_str("</sheets></workbook>");
    let styles = sheets + 1;
    let _ = write!(
        relations,
        r#"<Relationship Id="rId{styles}" Type="{relation}/styles" Target="styles.xml"/></Relationships>"#
    );
    [
        ("xl/workbook.xml", book),
        ("xl/_rels/workbook.xml.rels", relations),
    ]
}
