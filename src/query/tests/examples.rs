//! The reports that come with the project.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::query::file::parse_report;
use crate::query::tests::statement;

/// Each example report, and queries that its users would send.
const EXAMPLES: [(&str, &[&str]); 7] = [
    ("1-pricing-summary.sql", &[]),
    (
        "2-revenue-by-nation.sql",
        &[
            "period_start=1995-01-01&period_end=1995-12-31&region=EUROPE",
            "period_end=",
        ],
    ),
    (
        "3-orders-of-a-segment.sql",
        &["segment=BUILDING&priorities[]=1-URGENT&priorities[]=2-HIGH&sort=o_totalprice%20desc"],
    ),
    (
        "4-parts.sql",
        &[
            "name=green&sizes=1,2,3&in_stock=true",
            "price_max=1000.50&brand=Brand%2312",
        ],
    ),
    (
        "5-late-shipments.sql",
        &["since=1997-01-01&level=lines&modes=AIR&modes=RAIL"],
    ),
    (
        "6-customers.sql",
        &["nation=FRANCE&balance_min=-10.5", "ids=1,2,3"],
    ),
    ("7-every-line-item.sql", &[]),
];

#[test]
fn example_reports_compile() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports");
    let mut found = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect::<Vec<_>>();
    found.sort();
    let listed: Vec<_> = EXAMPLES.iter().map(|(name, _)| OsString::from(name)).collect();
    assert_eq!(found, listed);
    for (index, (name, queries)) in EXAMPLES.iter().enumerate() {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let report = parse_report(name, &text).unwrap();
        assert_eq!(report.id, i64::try_from(index).unwrap() + 1);
        for query in std::iter::once(&"").chain(queries.iter()) {
            let statement = statement(&report, query, None).unwrap();
            assert!(!statement.sql.contains("{{"), "{name}: {}", statement.sql);
        }
    }
}
