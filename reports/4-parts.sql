---
id: 4
title: Find parts
description: |
  Parts by a piece of their name, with what they cost at the cheapest supplier.
  Every filter but the name can be left empty.
filters:
  name:
    type: text
    label: Name contains
    default: green
  brand:
    type: text
    label: Brand
    values_sql: select distinct p_brand from part order by p_brand
  sizes:
    type: list
    of: number
    label: Sizes
  price_max:
    type: number
    label: Retail price at most
  in_stock:
    type: boolean
    label: In stock at a supplier
---
select
    p_partkey as part_key,
    p_name as name,
    p_brand as brand,
    p_type as type,
    p_size as size,
    p_retailprice as retail_price,
    min(ps_supplycost) as lowest_cost,
    sum(ps_availqty) as available
from part
join partsupp on ps_partkey = p_partkey
where 1=1
    [[and p_name like '%{{ name | noquote }}%']]
    [[and p_brand = {{ brand }}]]
    [[and p_size in ( {{ sizes }} )]]
    [[and p_retailprice <= {{ price_max }}]]
group by all
having [[(sum(ps_availqty) > 0) = {{ in_stock }}]]
order by p_name, p_partkey
