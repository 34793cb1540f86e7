---
id: 14
title: Endless
shared_with: everyone
filters:
  fails_at: {type: number, default: -1}
---
select case when range = {{ fails_at }} then error('no further') else range end as n from range(1000000000000)
