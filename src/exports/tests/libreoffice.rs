//! What LibreOffice makes of a workbook. Without one installed the test passes with a note.

use std::process::Command;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::BooleanArray;
use arrow::array::Date32Array;
use arrow::array::Float64Array;
use arrow::array::Int64Array;
use arrow::array::TimestampMicrosecondArray;

use crate::exports::Format;
use crate::exports::tests::batch;
use crate::exports::tests::file;
use crate::exports::tests::strings;

#[test]
fn libreoffice_shows_every_kind_of_cell() {
    let columns: [(&str, ArrayRef); 6] = [
        (
            "flag",
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        ),
        (
            "int",
            Arc::new(Int64Array::from(vec![Some(-5), None, Some(i64::MAX)])),
        ),
        (
            "float",
            Arc::new(Float64Array::from(vec![Some(0.1), Some(f64::NAN), Some(2.0)])),
        ),
        (
            "date",
            Arc::new(Date32Array::from(vec![Some(20_484), None, Some(-25_509)])),
        ),
        (
            "timestamp",
            Arc::new(TimestampMicrosecondArray::from(vec![
                Some(1_505_287_699_664_000),
                Some(1_505_287_699_000_000),
                None,
            ])),
        ),
        ("text", strings(&[Some("=1+1"), Some(" <_x0041_> "), Some("😀")])),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.xlsx");
    std::fs::write(&path, file(Format::Xlsx, &batch(columns))).unwrap();
    let profile = format!("-env:UserInstallation=file://{}/profile", folder.path().display());
    let run = Command::new("soffice")
        .args([&profile, "--headless", "--convert-to"])
        // Commas, double quotes, UTF-8, cells as they are shown.
        .args([
            "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true",
            "--outdir",
        ])
        .args([folder.path(), path.as_path()])
        .output();
    let Ok(output) = run else {
        eprintln!("skipped: there is no soffice");
        return;
    };
    let shown = std::fs::read_to_string(folder.path().join("file.csv"));
    let shown = shown.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let wanted = "\
        flag,int,float,date,timestamp,text\n\
        TRUE,-5,0.1,2026-01-31,2017-09-13 07:28:19.664,=1+1\n\
        ,,NaN,,2017-09-13 07:28:19, <_x0041_> \n\
        FALSE,9223372036854775807,2,1900-02-28,,😀\n";
    assert_eq!(shown, wanted);
}
