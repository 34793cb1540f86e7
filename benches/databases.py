"""Database servers with TPC-H's `lineitem`, kept from one `make bench` to the next."""

import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests"))
import servers  # noqa: E402

TABLE = """create table {name} (
 l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber bigint, l_quantity decimal(15,2),
 l_extendedprice decimal(15,2), l_discount decimal(15,2), l_tax decimal(15,2), l_returnflag {text}, l_linestatus {text},
 l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct {text}, l_shipmode {text}, l_comment {text})"""


def folder_of(kind, folder):
    """Where the server's own user may go; emptied if it was not loaded to its end."""
    path = pathlib.Path("/var/tmp") / f"holistics-bench-{kind}-{folder.name}"
    if not (path / "loaded").exists():
        shutil.rmtree(path, ignore_errors=True)
    return path


class Postgres(servers.Postgres):
    """With the settings that it comes with."""

    def __init__(self, folder, csv):
        super().__init__(folder_of("postgres", folder))
        if not (self.folder / "loaded").exists():
            self.run(TABLE.format(name="lineitem", text="text"), f"\\copy lineitem from '{csv}' csv header",
                     "vacuum analyze lineitem")
            (self.folder / "loaded").touch()


class MariaDb(servers.MariaDb):
    """With the settings that it comes with."""

    def __init__(self, folder, csv):
        super().__init__(folder_of("mariadb", folder))
        if not (self.folder / "loaded").exists():
            self.run(f"""use test; {TABLE.format(name="lineitem", text="varchar(100)")};
                load data local infile '{csv}' into table lineitem character set utf8mb4
                fields terminated by ',' optionally enclosed by '"' ignore 1 lines;
                analyze table lineitem;""")
            (self.folder / "loaded").touch()
