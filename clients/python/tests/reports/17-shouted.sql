---
id: 17
title: ORDERS
shared_with: everyone
---
select 17 as n
