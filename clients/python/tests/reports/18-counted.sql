---
id: 18
title: What an import has counted
shared_with: everyone
---
select id, kind from counted order by n
