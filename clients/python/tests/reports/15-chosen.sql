---
id: 15
title: Chosen
shared_with: everyone
filters:
  nation: {type: dropdown, values_sql: "select 'x' || i, 'Nation ' || i from range(25000) as n(i)"}
---
select {{ nation }} as nation
