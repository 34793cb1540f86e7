---
id: 1
title: Types
shared_with: everyone
---
select * from (values
    (1::tinyint, 9007199254740993::bigint, 18446744073709551615::ubigint, 0.1::double, 1.50::decimal(15, 2),
     12345678901234567890123456789.123456789::decimal(38, 9), true, '00123', '', date '2026-01-31', time '07:28:19.5',
     timestamp '2017-09-13 07:28:19.664131', timestamptz '2017-09-13 07:28:19+02',
     timestamp_ns '2017-09-13 07:28:19.123456789', '\x48\x65'::blob, [1, 2], {'a': 1}, e'two\nlines, "quoted" 😀'),
    (null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null)
) t(tiny, big, huge, ratio, price, long, flag, code, empty, day, clock, moment, zoned, nanos, bytes, list, struct, note)
