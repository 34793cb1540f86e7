---
id: 4
title: Broken
shared_with: everyone
---
select cast('x' as integer) as a
