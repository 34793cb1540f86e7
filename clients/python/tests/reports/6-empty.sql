---
id: 6
title: No rows
shared_with: everyone
---
select range as a from range(10) where range > 20
