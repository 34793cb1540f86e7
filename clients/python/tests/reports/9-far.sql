---
id: 9
title: Values that are far away
shared_with: everyone
---
select * from (values
 (date 'infinity', timestamp 'infinity', date '0044-03-15 (BC)', timestamp '0044-03-15 (BC) 10:00:00', date '12026-01-31', 99999999999999999999999999999999999999::hugeint, interval '1 month 2 days 03:04:05.5', timestamp_s '2026-01-31 10:00:00', timestamp_ms '2026-01-31 10:00:00.123', 'a'::enum('a','b'), uuid '12345678-1234-1234-1234-123456789012', 'nan'::double, '-infinity'::float, timestamptz 'infinity', [interval '1 day'], bitstring '0101', timetz '10:00:00+02', map {'a': 1}, 0.5::decimal(38,38)),
 (date '-infinity', timestamp '-infinity', date '2026-01-31', timestamp '12026-01-31 10:00:00.5', null, 170141183460469231731687303715884105727::hugeint, null, null, null, null, null, null, null, null, null, null, null, null, null)
) t(d_inf, t_inf, d_bc, t_bc, d_far, huge, span, secs, millis, kind, id, nan, inf, tz_inf, spans, bits, clocktz, map, frac)
