---
id: 10
title: Intervals
shared_with: everyone
---
select unnest([interval '1 year -2 days 26:03:04.5', interval '-14 months', interval '0 days', interval '-1 second', null]) as span
