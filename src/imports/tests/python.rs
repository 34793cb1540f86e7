use crate::imports::ColumnType;
use crate::imports::CsvOptions;
use crate::imports::tests::load;
use crate::tests::python;

/// Texts that readers of CSV tend to disagree about.
const TEXTS: [&str; 9] = [
    "a,b,c\n1,2,3\n",
    "a,b,c\r\n\"x\r\ny\",\"\"\"\",z\r\n",
    "a,b\n5\" pipe,\"5\"\" pipe\"\n",
    "a,b\n \"x\",\"y\" z\nv,w\n",
    "a,b\n\"x,y\",\n,\n",
    "a,b\n\n\nx,y\n",
    "a,b\n'x',''\n\"'y'\",\"\n\n\"\n",
    "a,b,c\n\"\",\"\"\"\"\"\",\"a\"\"b\"\nlast,line,\"without end\"",
    "a,b\nüñí,\"日本\n語\"\n",
];

#[test]
fn python_divides_records_alike() {
    for text in TEXTS {
        let options = CsvOptions {
            delimiter: Some(','),
            header: Some(true),
            errors_max: 100,
            schema: text
                .lines()
                .next()
                .unwrap()
                .split(',')
                .map(|name| (name.to_owned(), ColumnType::Text))
                .collect(),
            ..CsvOptions::default()
        };
        let script = "import csv, json, sys\n\
            with open(sys.argv[1], encoding='utf-8', newline='') as file:\n    \
            print(json.dumps([row for row in csv.reader(file) if row][1:]))";
        let Some(output) = python("file.csv", text.as_bytes(), script, &[]) else {
            return;
        };
        let wanted: Vec<Vec<String>> = serde_json::from_slice(&output).unwrap();
        let loaded = load(text, &options).unwrap();
        // Python takes text after a closing quote, which is a bad row here.
        assert_eq!(
            loaded.rows.len() as u64 + loaded.report.rejected,
            wanted.len() as u64,
            "{text:?}"
        );
        let empty = |value: Option<String>| value.unwrap_or_default();
        let read: Vec<Vec<String>> = loaded
            .rows
            .into_iter()
            .map(|row| row.into_iter().map(empty).collect())
            .collect();
        if loaded.report.rejected == 0 {
            assert_eq!(read, wanted, "{text:?}");
        }
    }
}
