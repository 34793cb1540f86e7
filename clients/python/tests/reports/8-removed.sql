---
id: 8
title: Removed while it runs
shared_with: everyone
timeout: 20s
---
select count(*) as n from range(1000000) a, range(1000000) b where (a.range * b.range) % 7 = 3
