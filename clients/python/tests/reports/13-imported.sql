---
id: 13
title: What an import has made
shared_with: everyone
---
select x::text as x from exact order by n
