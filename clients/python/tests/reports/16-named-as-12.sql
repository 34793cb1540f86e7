---
id: 16
title: 12-orders
shared_with: everyone
---
select 16 as n
