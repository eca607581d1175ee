"""What Debian's pycaffe shows by dir(), name by name: python3-caffe 1.0.0+git20180821.

Without double underscores, what its modules import of others (numpy, six, …), and what they keep
for themselves.  Blob has two more, of BVLC's last master.
"""

from __future__ import annotations

NAMES: dict[str, str] = {
    "caffe": """
        AdaDeltaSolver AdaGradSolver AdamSolver Classifier Detector Layer NCCL
        NesterovSolver Net NetSpec RMSPropSolver SGDSolver TEST TRAIN Timer _caffe
        classifier coord_map detector draw get_solver has_nccl init_log io layer_type_list
        layers log net_spec params proto pycaffe set_device set_mode_cpu set_mode_gpu
        set_multiprocess set_random_seed set_solver_count set_solver_rank solver_count
        solver_rank to_proto
    """,
    "caffe.io": """
        Transformer array_to_blobproto array_to_datum arraylist_to_blobprotovector_str
        blobproto_to_array blobprotovector_str_to_arraylist caffe_pb2 datum_to_array
        load_image oversample resize_image
    """,
    "caffe.net_spec": """
        Function Layers NetSpec Parameters Top assign_proto caffe_pb2 layers
        param_name_dict params to_proto
    """,
    "caffe.draw": """
        BLOB_STYLE LAYER_STYLE_DEFAULT NEURON_LAYER_STYLE caffe_pb2
        choose_color_by_layertype draw_net draw_net_to_file get_edge_label get_layer_label
        get_layer_lr_mult get_pooling_types_dict get_pydot_graph
    """,
    "caffe.coord_map": """
        AxisMismatchException L PASS_THROUGH_LAYERS UndefinedMapException compose
        conv_params coord_map coord_map_from_to crop crop_params inverse
    """,
    "caffe.pycaffe": """
        AdaDeltaSolver AdaGradSolver AdamSolver NCCL NesterovSolver Net RMSPropSolver
        SGDSolver Timer _Net_backward _Net_batch _Net_blob_loss_weights _Net_blobs
        _Net_forward _Net_forward_all _Net_forward_backward_all
        _Net_inputs _Net_layer_dict _Net_outputs _Net_params _Net_set_input_arrays
    """,
    "caffe.classifier": "Classifier",
    "caffe.detector": "Detector",
    "caffe._caffe": """
        AdaDeltaSolver AdaGradSolver AdamSolver Blob BlobVec BoolVec DtypeVec IntVec Layer
        LayerParameter LayerVec NCCL NesterovSolver Net NetVec RMSPropSolver RawBlobVec
        SGDSolver Solver SolverParameter StringVec Timer get_solver has_nccl init_log
        layer_type_list log set_device set_mode_cpu set_mode_gpu set_multiprocess
        set_random_seed set_solver_count set_solver_rank solver_count solver_rank
    """,
    "Net": """
        _backward _batch _blob_loss_weights _blob_names _blobs _bottom_ids _forward
        _inputs _layer_names _outputs _set_input_arrays _top_ids after_backward
        after_forward backward before_backward before_forward blob_loss_weights blobs
        bottom_names clear_param_diffs copy_from forward forward_all forward_backward_all
        inputs layer_dict layers load_hdf5 outputs params reshape save save_hdf5
        set_input_arrays share_with top_names
    """,
    "Blob": """
        channels count data diff height num reshape shape width _gpu_data_ptr
        _gpu_diff_ptr
    """,
    "Layer": "blobs reshape setup type",
    "Solver": """
        add_callback apply_update iter lr net param restore share_weights snapshot solve
        step test_nets
    """,
    "SolverParameter": "base_lr display layer_wise_reduce max_iter",
    "BlobVec": "add_blob append extend",
    "RawBlobVec": "add_blob append extend",
    "LayerVec": "append extend",
    "NetVec": "append extend",
    "IntVec": "append extend",
    "DtypeVec": "append extend",
    "StringVec": "append extend",
    "Classifier": "predict",
    "Detector": "configure_crop crop detect_selective_search detect_windows",
    "Transformer": """
        deprocess preprocess set_channel_swap set_input_scale set_mean set_raw_scale
        set_transpose
    """,
    "Timer": "ms start stop",
    "NetSpec": "to_proto tops",
}
