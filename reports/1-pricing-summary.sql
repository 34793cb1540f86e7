---
id: 1
title: Pricing summary
description: |
  What was billed, shipped and returned, by return flag and line status (the first query of TPC-H).
  Covers every line item that was shipped by the last ship date of the benchmark, 1998-09-02.
cache: 1h
---
select
    l_returnflag as return_flag,
    l_linestatus as line_status,
    sum(l_quantity) as quantity,
    sum(l_extendedprice) as price,
    sum(l_extendedprice * (1 - l_discount)) as discounted_price,
    sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) as charge,
    avg(l_quantity) as average_quantity,
    avg(l_extendedprice) as average_price,
    avg(l_discount) as average_discount,
    count(*) as line_items
from lineitem
where l_shipdate <= date '1998-09-02'
group by l_returnflag, l_linestatus
order by l_returnflag, l_linestatus
