//! Values on their way to MySQL, each in the type that a literal of it would have.

use chrono::Datelike as _;
use chrono::NaiveDate;
use chrono::NaiveDateTime;
use chrono::Timelike as _;

use crate::connectors::mysql::bytes::put_text;
use crate::query::Bind;

const EXECUTE: u8 = 0x17;

/// Types as the protocol numbers them.
const TINY: u8 = 0x01;
const NULL: u8 = 0x06;
const LONGLONG: u8 = 0x08;
const DATE: u8 = 0x0a;
const DATETIME: u8 = 0x0c;
/// Digits that the server takes as a decimal, so that comparisons are exact and use an index.
const NEWDECIMAL: u8 = 0xf6;
const VAR_STRING: u8 = 0xfd;

/// The packet that runs a prepared statement.
pub(super) fn execution(statement_id: u32, binds: &[Bind]) -> Vec<u8> {
    let mut packet = vec![EXECUTE];
    packet.extend_from_slice(&statement_id.to_le_bytes());
    // No cursor, and once.
    packet.extend_from_slice(&[0, 1, 0, 0, 0]);
    if binds.is_empty() {
        return packet;
    }
    packet.extend(binds.chunks(8).map(|eight| {
        let nulls = eight.iter().enumerate();
        nulls.fold(0, |bits, (index, bind)| {
            bits | (u8::from(matches!(bind, Bind::Null)) << index)
        })
    }));
    // The types are sent along.
    packet.push(1);
    for bind in binds {
        packet.extend_from_slice(&[kind(bind), 0]);
    }
    for bind in binds {
        put(&mut packet, bind);
    }
    packet
}

fn kind(bind: &Bind) -> u8 {
    match bind {
        Bind::Null => NULL,
        Bind::Text(_) => VAR_STRING,
        Bind::Integer(_) => LONGLONG,
        Bind::Decimal(_) => NEWDECIMAL,
        Bind::Boolean(_) => TINY,
        Bind::Date(_) => DATE,
        Bind::Datetime(_) => DATETIME,
    }
}

fn put(out: &mut Vec<u8>, bind: &Bind) {
    match bind {
        Bind::Null => {}
        Bind::Text(text) | Bind::Decimal(text) => put_text(out, text.as_bytes()),
        Bind::Integer(integer) => out.extend_from_slice(&integer.to_le_bytes()),
        Bind::Boolean(boolean) => out.push(u8::from(*boolean)),
        Bind::Date(date) => {
            out.push(4);
            put_date(out, *date);
        }
        Bind::Datetime(datetime) => put_datetime(out, *datetime),
    }
}

/// The server has no years that do not fit; it says so of one that is out of its range.
fn put_date(out: &mut Vec<u8>, date: NaiveDate) {
    let year = u16::try_from(date.year()).unwrap_or(u16::MAX);
    out.extend_from_slice(&year.to_le_bytes());
    out.extend([date.month(), date.day()].map(byte));
}

fn put_datetime(out: &mut Vec<u8>, datetime: NaiveDateTime) {
    out.push(11);
    put_date(out, datetime.date());
    out.extend([datetime.hour(), datetime.minute(), datetime.second()].map(byte));
    let microseconds = datetime.nanosecond() / 1_000;
    out.extend_from_slice(&microseconds.to_le_bytes());
}

fn byte(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}
