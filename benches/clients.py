"""What `make bench` asks of the clients: data frames in Python, files by the command line.

Each call is made in a process of its own, which says how long the call took; what it imports is loaded before.
"""

import json
import pathlib
import statistics
import subprocess
import time

PACKAGE = pathlib.Path(__file__).resolve().parent.parent / "clients" / "python"
PACKAGES = [
    "adbc-driver-postgresql==1.13.0",
    "connectorx==0.4.6",
    "pandas==3.1.1",
    "psycopg[binary]==3.3.9",
    "pyarrow==26.0.1",
    "requests==2.34.2",
    "SQLAlchemy==2.1.9",
]
# The older package has the name of ours, so that it has a place of its own.
OLDER_PACKAGES = ["holistics==0.0a11", "pandas==3.1.1", "requests==2.34.2"]
OURS = "from holistics import HolisticsAPI\nmake = lambda: HolisticsAPI(key, url).query({report})"
OLDER = "from holistics import HolisticsAPI\nmake = lambda: HolisticsAPI(key, url).export_data({report})"
PANDAS = """
import pandas, sqlalchemy
engine = sqlalchemy.create_engine(database.replace("postgres://", "postgresql+psycopg://"))
make = lambda: pandas.read_sql(sql, engine)
"""
CONNECTORX = "import connectorx\nmake = lambda: connectorx.read_sql(database, sql)"
ADBC = """
import adbc_driver_postgresql.dbapi
def make():
    with adbc_driver_postgresql.dbapi.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetch_df()
"""
TIMED = """
import json, sys, time
globals().update(json.loads(sys.argv[1]))
{program}
began = time.perf_counter()
frame = make()
seconds = time.perf_counter() - began
assert frame.shape == ({rows}, 16), frame.shape
print(seconds, file=sys.stderr)
"""
BATCHES = """
import resource, sys
from holistics import HolisticsAPI
rows = sum(batch.num_rows for batch in HolisticsAPI(sys.argv[1], sys.argv[2]).iter_batches(sys.argv[3]))
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def call(python, program, rows, folder, **about):
    """Seconds that a call takes which makes a frame."""
    # Not where the bench is: the older package writes a file called `None`.
    command = [python, "-c", TIMED.format(program=program, rows=rows), json.dumps(about)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment_of(python))
    if done.returncode:
        raise SystemExit(f"bench: {done.stderr}")
    return float(done.stderr.split()[-1])


def environment_of(python):
    return {"PYTHONPATH": str(PACKAGE)} if "older" not in str(python) else {}


def batches(python, key, url, report):
    """The rows of a report taken by batches, and the most memory that the process held, in MB."""
    command = [python, "-c", BATCHES, key, url, str(report)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment_of(python))
    rows, peak = done.stdout.split()
    return int(rows), float(peak)


def start_ms(holistics):
    """How long `holistics version` takes, in milliseconds: the median of fifty, after five."""
    times = []
    for _ in range(55):
        began = time.perf_counter()
        subprocess.run([holistics, "version"], check=True, stdout=subprocess.DEVNULL)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times[5:])
