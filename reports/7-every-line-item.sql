---
id: 7
title: Every line item
description: |
  All of lineitem with all of its columns, in no particular order.
  At scale 1 that is 6,001,215 rows: made for exports rather than for reading.
---
select * from lineitem
