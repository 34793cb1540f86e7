---
id: 2
title: Revenue by nation
description: |
  Revenue from orders in a period, by the nation of the customer, largest first.
  Revenue is the price after discount, before tax.
cache: 15m
filters:
  period:
    type: date_range
    label: Ordered between
    default: [1994-01-01, today]
  region:
    type: dropdown
    label: Region of the customer
    values_sql: select r_name from region order by r_name
  by_year:
    type: boolean
    label: One row for each year
    default: false
---
select
    n_name as nation,
    r_name as region,
    {{#if by_year == true}}
    year(o_orderdate) as order_year,
    {{#endif}}
    count(distinct o_orderkey) as orders,
    sum(l_extendedprice * (1 - l_discount)) as revenue
from orders
join lineitem on l_orderkey = o_orderkey
join customer on c_custkey = o_custkey
join nation on n_nationkey = c_nationkey
join region on r_regionkey = n_regionkey
where 1=1
    [[and o_orderdate >= {{ period_start }}]]
    [[and o_orderdate <= {{ period_end }}]]
    [[and r_name = {{ region }}]]
group by all
order by revenue desc, nation
