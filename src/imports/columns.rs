//! What the values of a column have in common, and so its type.
//! Booleans, numbers and dates look so different that the first value decides which of them a column can be.

use crate::imports::calendar::Forms;
use crate::imports::calendar::moment;
use crate::imports::chunk::Table;
use crate::imports::fields::Field;
use crate::imports::types::ColumnType;
use crate::imports::types::DIGITS_MAX;
use crate::imports::values::boolean;
use crate::imports::values::decimal;
use crate::imports::values::double;
use crate::imports::values::integer;
use crate::imports::values::number;

/// Decimals that have no more digits than this fit 64 bits.
const NARROW: u32 = 18;

/// Which fields are NULL.
#[derive(Clone, Debug)]
pub(super) struct Nulls(pub(super) Option<Vec<u8>>);

impl Nulls {
    #[inline(always)]
    pub(super) fn has(&self, field: &Field, bytes: &[u8]) -> bool {
        !field.quoted
            && match &self.0 {
                None => field.is_empty(),
                Some(text) => field.of(bytes) == text,
            }
    }
}

/// What has been seen of a column.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    state: State,
    nulls: bool,
    /// Fields that are NULL in all columns but those of text.
    empties: bool,
}

#[derive(Clone, Debug)]
enum State {
    Nothing,
    Boolean,
    Number(Numbers),
    Moment(Moments),
    /// Dates of a type that the caller wants: how those with slashes can be read.
    Slashes(Slashes),
    /// Also everything else of a type that the caller wants.
    Text,
}

#[derive(Clone, Copy, Debug)]
struct Numbers {
    whole: u32,
    scale: u32,
    point: bool,
    /// An integer of more than 64 bits.
    long: bool,
    exponent: bool,
    /// With a point before the exponent, as programs write doubles.
    double: bool,
    /// No value would lose digits as a double.
    doubles: bool,
}

#[derive(Clone, Copy, Debug)]
struct Moments {
    forms: Forms,
    dates: bool,
    times: bool,
    zoned_times: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slashes {
    day_first: bool,
    month_first: bool,
    either: bool,
}

/// A type, and what reading values of it needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Found {
    pub(super) column_type: ColumnType,
    pub(super) forms: Forms,
    /// Dates whose day and month cannot be told apart.
    pub(super) unsettled: bool,
}

impl Seen {
    pub(super) fn new(wanted: Option<ColumnType>) -> Self {
        let state = match wanted {
            None => State::Nothing,
            Some(ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampTz) => {
                State::Slashes(Slashes::default())
            }
            Some(_) => State::Text,
        };
        Self {
            state,
            nulls: false,
            empties: false,
        }
    }

    /// Looks at a column of a block of rows.
    pub(super) fn see(&mut self, table: &Table, column: usize, bytes: &[u8], nulls: &Nulls) {
        let all_known = matches!(self.state, State::Text) && self.nulls && self.empties;
        if all_known {
            return;
        }
        for field in table.column(column) {
            if nulls.has(field, bytes) {
                self.nulls = true;
            } else if field.is_empty() {
                self.empties = true;
            } else if !matches!(self.state, State::Text) && !self.fits(field, bytes) {
                self.state = State::Text;
            }
        }
    }

    #[inline(always)]
    fn fits(&mut self, field: &Field, bytes: &[u8]) -> bool {
        let text = field.of(bytes);
        match &mut self.state {
            State::Number(numbers) => numbers.see(text),
            State::Moment(moments) => moments.see(text),
            State::Boolean => boolean(text).is_some(),
            State::Slashes(slashes) => {
                slashes.see(text);
                true
            }
            State::Nothing => {
                self.state = State::first(text);
                true
            }
            State::Text => true,
        }
    }

    /// What has been seen by two.
    pub(super) fn merge(&mut self, other: &Self) {
        self.nulls |= other.nulls;
        self.empties |= other.empties;
        let fits = match (&mut self.state, &other.state) {
            (_, State::Nothing) => true,
            (State::Nothing, _) => {
                self.state = other.state.clone();
                true
            }
            (State::Boolean, State::Boolean) => true,
            (State::Number(own), State::Number(other)) => {
                own.merge(other);
                true
            }
            (State::Moment(own), State::Moment(other)) => own.merge(other),
            (State::Slashes(own), State::Slashes(other)) => {
                own.day_first |= other.day_first;
                own.month_first |= other.month_first;
                own.either |= other.either;
                true
            }
            _ => false,
        };
        if !fits {
            self.state = State::Text;
        }
    }

    pub(super) fn is_nullable(&self, column_type: ColumnType) -> bool {
        self.nulls || (self.empties && column_type != ColumnType::Text)
    }

    /// Whether there is no value.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.state, State::Nothing)
    }

    /// The type that all values fit.
    pub(super) fn found(&self) -> Found {
        let (column_type, forms, unsettled) = match &self.state {
            State::Boolean => (ColumnType::Boolean, Forms::default(), false),
            State::Number(numbers) => (numbers.column_type(), Forms::default(), false),
            State::Moment(moments) if moments.forms == Forms::EITHER => {
                (ColumnType::Text, Forms::default(), true)
            }
            State::Moment(moments) => (moments.column_type(), moments.forms, false),
            State::Nothing | State::Slashes(_) | State::Text => (ColumnType::Text, Forms::default(), false),
        };
        Found {
            column_type,
            forms,
            unsettled,
        }
    }

    /// How to read a column of the type that the caller wants; `None` if the dates leave it open.
    pub(super) fn wanted(&self, column_type: ColumnType) -> Option<Found> {
        let forms = match &self.state {
            State::Slashes(slashes) => slashes.forms()?,
            _ => Forms::default(),
        };
        Some(Found {
            column_type,
            forms,
            unsettled: false,
        })
    }
}

impl State {
    fn first(text: &[u8]) -> Self {
        if boolean(text).is_some() {
            return Self::Boolean;
        }
        let mut numbers = Numbers {
            whole: 0,
            scale: 0,
            point: false,
            long: false,
            exponent: false,
            double: false,
            doubles: true,
        };
        if numbers.see(text) {
            return Self::Number(numbers);
        }
        let mut moments = Moments {
            forms: Forms::ALL,
            dates: false,
            times: false,
            zoned_times: false,
        };
        if moments.see(text) {
            return Self::Moment(moments);
        }
        Self::Text
    }
}

impl Numbers {
    #[inline(always)]
    fn see(&mut self, text: &[u8]) -> bool {
        let Some(number) = number(text) else {
            return false;
        };
        self.whole = self.whole.max(number.whole);
        self.scale = self.scale.max(number.scale);
        self.point |= number.point;
        self.exponent |= number.exponent;
        self.double |= number.exponent && number.point;
        self.long |= !number.point && !number.exponent && number.integer().is_none();
        if self.doubles && !number.is_surely_double() {
            self.doubles = double(text).is_some();
        }
        true
    }

    fn merge(&mut self, other: &Self) {
        self.whole = self.whole.max(other.whole);
        self.scale = self.scale.max(other.scale);
        self.point |= other.point;
        self.exponent |= other.exponent;
        self.double |= other.double;
        self.long |= other.long;
        self.doubles &= other.doubles;
    }

    fn column_type(&self) -> ColumnType {
        if self.exponent {
            let double = self.double && self.doubles;
            return if double {
                ColumnType::Double
            } else {
                ColumnType::Text
            };
        }
        if !self.point && !self.long {
            return ColumnType::Integer;
        }
        let digits = self.whole + self.scale;
        // No scale is above 38.
        let scale = self.scale as u8;
        match digits {
            _ if digits > DIGITS_MAX => ColumnType::Text,
            _ if digits > NARROW || self.long => ColumnType::Decimal {
                precision: DIGITS_MAX as u8,
                scale,
            },
            _ => ColumnType::Decimal {
                precision: NARROW as u8,
                scale,
            },
        }
    }
}

impl Moments {
    #[inline(always)]
    fn see(&mut self, text: &[u8]) -> bool {
        let Some((moment, forms)) = moment(text, self.forms) else {
            return false;
        };
        self.forms = forms;
        self.dates |= !moment.has_time();
        self.times |= moment.has_time() && !moment.has_zone();
        self.zoned_times |= moment.has_zone();
        true
    }

    fn merge(&mut self, other: &Self) -> bool {
        self.forms = self.forms.and(other.forms);
        self.dates |= other.dates;
        self.times |= other.times;
        self.zoned_times |= other.zoned_times;
        !self.forms.is_empty()
    }

    fn column_type(&self) -> ColumnType {
        match (self.dates, self.times, self.zoned_times) {
            (true, false, false) => ColumnType::Date,
            (false, true, false) => ColumnType::Timestamp,
            (true, true, false) if self.forms == Forms::ISO => ColumnType::Timestamp,
            (false, false, true) => ColumnType::TimestampTz,
            _ => ColumnType::Text,
        }
    }
}

impl Slashes {
    fn see(&mut self, text: &[u8]) {
        let Some((_, forms)) = moment(text, Forms::ALL) else {
            return;
        };
        self.either |= forms == Forms::EITHER;
        self.day_first |= forms == Forms::DAY_FIRST;
        self.month_first |= forms == Forms::MONTH_FIRST;
    }

    fn forms(self) -> Option<Forms> {
        match (self.day_first, self.month_first) {
            (true, true) => None,
            (true, false) => Some(Forms::PLAIN.or(Forms::DAY_FIRST)),
            (false, true) => Some(Forms::PLAIN.or(Forms::MONTH_FIRST)),
            (false, false) => (!self.either).then_some(Forms::PLAIN),
        }
    }
}

/// Whether a field is a value of this type, or NULL.
pub(super) fn is_value(
    field: &Field,
    bytes: &[u8],
    column_type: ColumnType,
    nulls: &Nulls,
    forms: Forms,
) -> bool {
    let text = field.of(bytes);
    if column_type == ColumnType::Text || text.is_empty() || nulls.has(field, bytes) {
        return true;
    }
    let moment = || moment(text, forms).map(|(moment, _)| moment);
    match column_type {
        ColumnType::Text => true,
        ColumnType::Boolean => boolean(text).is_some(),
        ColumnType::Integer => integer(text).is_some(),
        ColumnType::Decimal { precision, scale } => decimal(text, precision, scale).is_some(),
        ColumnType::Double => double(text).is_some(),
        ColumnType::Date => moment().is_some_and(|moment| moment.date().is_some()),
        ColumnType::Timestamp => moment().is_some_and(|moment| moment.timestamp().is_some()),
        ColumnType::TimestampTz => moment().is_some_and(|moment| moment.timestamp_in_zone().is_some()),
    }
}
