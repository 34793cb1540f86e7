---
id: 6
title: Customers and their balance
description: |
  Customers with nation, balance and number of orders, those who owe most first.
  Give customer keys to look some up, a nation, or both.
filters:
  nation:
    type: dropdown
    label: Nation
    values_sql: select n_name from nation order by n_name
  ids:
    type: list
    of: number
    label: Customer keys
  balance_min:
    type: number
    label: Balance at least
    default: -999.99
---
select
    c_custkey as customer_key,
    c_name as customer,
    n_name as nation,
    c_mktsegment as segment,
    c_acctbal as balance,
    count(o_orderkey) as orders
from customer
join nation on n_nationkey = c_nationkey
left join orders on o_custkey = c_custkey
where 1=1
    [[and n_name = {{ nation }}]]
    [[and c_custkey in ( {{ ids }} )]]
    [[and c_acctbal >= {{ balance_min }}]]
group by all
order by c_acctbal, c_custkey
