---
id: 7
title: Many rows
shared_with: everyone
---
select range as id, 'row ' || range as name, (range / 100)::decimal(12, 2) as price, null::bigint as nothing
from range(300000)
