---
id: 19
title: Random
shared_with: everyone
cache: 1h
---
select random() as n
