//! A warehouse with the TPC-H tables, always the same for the same scale.

use std::fmt::Display;
use std::fs;
use std::fs::File;
use std::io::BufWriter;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use duckdb::Connection;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use tpchgen::csv::CustomerCsv;
use tpchgen::csv::LineItemCsv;
use tpchgen::csv::NationCsv;
use tpchgen::csv::OrderCsv;
use tpchgen::csv::PartCsv;
use tpchgen::csv::PartSuppCsv;
use tpchgen::csv::RegionCsv;
use tpchgen::csv::SupplierCsv;
use tpchgen::generators::CustomerGenerator;
use tpchgen::generators::LineItemGenerator;
use tpchgen::generators::NationGenerator;
use tpchgen::generators::OrderGenerator;
use tpchgen::generators::PartGenerator;
use tpchgen::generators::PartSuppGenerator;
use tpchgen::generators::RegionGenerator;
use tpchgen::generators::SupplierGenerator;

use crate::cli::output::print_beside;
use crate::error::Error;
use crate::error::Result;

/// Column types of the TPC-H specification, 1.4.1, with DECIMAL(15,2) for money and quantities.
const TABLES: &str = "
    create table region (r_regionkey integer, r_name varchar, r_comment varchar);
    create table nation (n_nationkey integer, n_name varchar, n_regionkey integer, n_comment varchar);
    create table supplier (s_suppkey bigint, s_name varchar, s_address varchar, s_nationkey integer,
        s_phone varchar, s_acctbal decimal(15, 2), s_comment varchar);
    create table customer (c_custkey bigint, c_name varchar, c_address varchar, c_nationkey integer,
        c_phone varchar, c_acctbal decimal(15, 2), c_mktsegment varchar, c_comment varchar);
    create table part (p_partkey bigint, p_name varchar, p_mfgr varchar, p_brand varchar, p_type varchar,
        p_size integer, p_container varchar, p_retailprice decimal(15, 2), p_comment varchar);
    create table partsupp (ps_partkey bigint, ps_suppkey bigint, ps_availqty integer,
        ps_supplycost decimal(15, 2), ps_comment varchar);
    create table orders (o_orderkey bigint, o_custkey bigint, o_orderstatus varchar,
        o_totalprice decimal(15, 2), o_orderdate date, o_orderpriority varchar, o_clerk varchar,
        o_shippriority integer, o_comment varchar);
    create table lineitem (l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber integer,
        l_quantity decimal(15, 2), l_extendedprice decimal(15, 2), l_discount decimal(15, 2),
        l_tax decimal(15, 2), l_returnflag varchar, l_linestatus varchar, l_shipdate date,
        l_commitdate date, l_receiptdate date, l_shipinstruct varchar, l_shipmode varchar,
        l_comment varchar);";

/// How many rows between two looks of the progress bar.
const PROGRESS_STEP: u64 = 10_000;

/// Makes the warehouse file. It appears under its name only when whole.
pub(crate) fn make_warehouse(path: &Path, scale: f64, show_progress: bool) -> Result<()> {
    let aside = path.with_extension("part");
    remove_if_there(&aside)?;
    let maker = Maker {
        connection: Connection::open(&aside).map_err(Error::internal)?,
        rows_file: path.with_extension("rows"),
        scale,
        show_progress,
    };
    maker.connection.execute_batch(TABLES).map_err(Error::internal)?;
    maker.load(
        "region",
        5.0,
        RegionGenerator::new(scale, 1, 1).iter().map(RegionCsv::new),
    )?;
    maker.load(
        "nation",
        25.0,
        NationGenerator::new(scale, 1, 1).iter().map(NationCsv::new),
    )?;
    maker.load(
        "supplier",
        1e4 * scale,
        SupplierGenerator::new(scale, 1, 1).iter().map(SupplierCsv::new),
    )?;
    maker.load(
        "customer",
        1.5e5 * scale,
        CustomerGenerator::new(scale, 1, 1).iter().map(CustomerCsv::new),
    )?;
    maker.load(
        "part",
        2e5 * scale,
        PartGenerator::new(scale, 1, 1).iter().map(PartCsv::new),
    )?;
    maker.load(
        "partsupp",
        8e5 * scale,
        PartSuppGenerator::new(scale, 1, 1).iter().map(PartSuppCsv::new),
    )?;
    maker.load(
        "orders",
        1.5e6 * scale,
        OrderGenerator::new(scale, 1, 1).iter().map(OrderCsv::new),
    )?;
    maker.load(
        "lineitem",
        6e6 * scale,
        LineItemGenerator::new(scale, 1, 1).iter().map(LineItemCsv::new),
    )?;
    remove_if_there(&maker.rows_file)?;
    maker
        .connection
        .execute_batch("checkpoint")
        .map_err(Error::internal)?;
    maker
        .connection
        .close()
        .map_err(|(_, error)| Error::internal(error))?;
    Ok(fs::rename(aside, path)?)
}

struct Maker {
    connection: Connection,
    /// Holds the rows of one table, as CSV, on their way into the engine.
    rows_file: PathBuf,
    scale: f64,
    show_progress: bool,
}

impl Maker {
    fn load<R: Display>(&self, table: &str, rows: f64, generated: impl Iterator<Item = R>) -> Result<()> {
        let bar = match self.show_progress {
            true => ProgressBar::new(rows as u64),
            false => ProgressBar::hidden(),
        };
        let style =
            ProgressStyle::with_template("{msg:9} {bar:40} {human_pos} rows").map_err(Error::internal)?;
        bar.set_style(style);
        bar.set_message(table.to_owned());
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&self.rows_file)?);
        for (count, row) in (1_u64..).zip(generated) {
            writeln!(file, "{row}")?;
            if count % PROGRESS_STEP == 0 {
                bar.set_position(count);
            }
        }
        file.flush()?;
        let loaded = self
            .connection
            .execute(
                &format!(
                    "copy {table} from '{}' (header false, delimiter ',', quote '\"', escape '\"')",
                    self.rows_file.display().to_string().replace('\'', "''")
                ),
                [],
            )
            .map_err(|error| Error::internal(format!("{table} at scale {}: {error}", self.scale)))?;
        bar.set_length(loaded as u64);
        bar.set_position(loaded as u64);
        bar.finish();
        if !self.show_progress {
            print_beside(&format!("{table}: {loaded} rows"));
        }
        Ok(())
    }
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
