@group(0) @binding(0) var<storage, read_write> v1: array<u32>;
struct info_st { scalars_i32: array<i32, 4>, static_meta: array<u32, 2> }
@group(0) @binding(1) var<storage, read> info_var: info_st;
@compute @workgroup_size(64, 1, 1)
fn stm_contraction(@builtin(workgroup_id) v104: vec3<u32>, @builtin(num_workgroups) v106: vec3<u32>, @builtin(local_invocation_index) v113: u32) {
let v116 = &v1;
let v2 = info_var.scalars_i32[0];
let v3 = info_var.scalars_i32[1];
let v4 = info_var.scalars_i32[2];
let v5 = info_var.scalars_i32[3];
let v105 = v104[2];
let v82 = u32(v105);
let v107 = v106[1];
let v84 = u32(v107);
let v85 = v82 * v84;
let v108 = v106[0];
let v87 = u32(v108);
let v88 = v85 * v87;
let v109 = v104[1];
let v90 = u32(v109);
let v93 = v90 * v87;
let v94 = v88 + v93;
let v111 = v104[0];
let v96 = u32(v111);
let v97 = v94 + v96;
let v115 = u32(64);
let v100 = v97 * v115;
let v114 = v113;
let v102 = u32(v114);
let v103 = v100 + v102;
let v7 = u32(v103);
let v8 = bitcast<u32>(v2);
let v9 = v7 < v8;
if v9 {
var<function> v80_store: f32;
let v80 = &v80_store;
let v11 = u32(0);
let v12 = bitcast<f32>(v11);
*v80 = v12;
let v13 = u32(4);
let v14 = v7 % v13;
let v16 = v7 / v13;
let v17 = bitcast<i32>(v14);
let v18 = u32(3);
let v19 = v16 % v18;
let v21 = v16 / v18;
let v22 = bitcast<i32>(v19);
let v25 = bitcast<i32>(v21);
*v80 = v12;
let v28 = i32(0);
let v29 = i32(5);
let v30 = i32(1);
for(var v31: i32 = v28; v31 < v29; v31 += v30) {
let v33 = i32(15);
let v34 = v25 * v33;
let v37 = v22 * v29;
let v38 = v34 + v37;
let v41 = v38 + v31;
let v42 = v3 + v41;
let v43 = u32(v42);
let v44 = &(*v116)[v43];
let v45 = *v44;
let v46 = bitcast<f32>(v45);
let v48 = i32(20);
let v49 = v25 * v48;
let v52 = v17 * v29;
let v53 = v49 + v52;
let v56 = v53 + v31;
let v57 = v4 + v56;
let v58 = u32(v57);
let v59 = &(*v116)[v58];
let v60 = *v59;
let v61 = bitcast<f32>(v60);
let v62 = *v80;
let v63 = fma(v46, v61, v62);
*v80 = v63;

}
let v64 = *v80;
let v66 = i32(12);
let v67 = v25 * v66;
let v69 = i32(4);
let v70 = v22 * v69;
let v71 = v67 + v70;
let v74 = v71 + v17;
let v75 = v5 + v74;
let v76 = bitcast<u32>(v64);
let v77 = u32(v75);
let v78 = &(*v116)[v77];
*v78 = v76;

}
return;

}
