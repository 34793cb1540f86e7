---
id: 5
title: At most three rows
shared_with: everyone
rows_max: 3
---
select range as a, 'x' || range as a from range(10)
