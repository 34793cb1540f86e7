---
id: 3
title: Slow
shared_with: everyone
filters:
  nonce: {type: number, default: 0}
---
select count(*) as n from range(1000000) a, range(1000000) b where (a.range * b.range + {{ nonce }}) % 7 = 3
